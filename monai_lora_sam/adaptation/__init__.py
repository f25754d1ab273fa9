"""Adapt a network to one's own data: check, plan, train by prompts or without, compare, report."""

from monai_lora_sam.adaptation.checking import DataFacts, check_data
from monai_lora_sam.adaptation.comparison import COMPARED_MODES, compare, score
from monai_lora_sam.adaptation.concept_training import ConceptAnswers, ConceptTraining
from monai_lora_sam.adaptation.object_classes import LoadObjectClassesd
from monai_lora_sam.adaptation.plan import Plan, make_plan
from monai_lora_sam.adaptation.prompted_training import (
    PromptedAnswers,
    PromptedTraining,
    answered_masks,
    iou_error,
)
from monai_lora_sam.adaptation.reasoning_training import (
    ReasoningAnswers,
    ReasoningTraining,
    answered_dice,
    answered_tokens,
    masks_asked_for,
)
from monai_lora_sam.adaptation.request import AdaptationRequest
from monai_lora_sam.adaptation.run import Adaptation, adapt
from monai_lora_sam.adaptation.sources import AdaptationData, open_data
from monai_lora_sam.adaptation.text_training import TextAnswers, TextTraining, phrase_masks, phrase_presence

__all__ = [
    "ReasoningAnswers",
    "ReasoningTraining",
    "answered_dice",
    "answered_tokens",
    "masks_asked_for",
    "COMPARED_MODES",
    "Adaptation",
    "AdaptationData",
    "AdaptationRequest",
    "ConceptAnswers",
    "ConceptTraining",
    "DataFacts",
    "LoadObjectClassesd",
    "Plan",
    "PromptedAnswers",
    "PromptedTraining",
    "TextAnswers",
    "TextTraining",
    "adapt",
    "answered_masks",
    "check_data",
    "compare",
    "iou_error",
    "make_plan",
    "open_data",
    "phrase_masks",
    "phrase_presence",
    "score",
]
