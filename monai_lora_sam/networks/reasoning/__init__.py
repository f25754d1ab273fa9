"""A language model before SAM's mask decoder: a question in, an answer and masks out."""

from monai_lora_sam.networks.reasoning.conversation import MOST_CHARACTERS, SEG, Conversation, check_question
from monai_lora_sam.networks.reasoning.language_files import (
    LANGUAGE_MODELS,
    LanguageModelFiles,
    open_language_model,
)
from monai_lora_sam.networks.reasoning.language_model import LANGUAGE_PRESETS, LanguageModel
from monai_lora_sam.networks.reasoning.reasoning_head import ReasoningHead
from monai_lora_sam.networks.reasoning.reasoning_segmenter import (
    REASONING,
    Answer,
    ReadAnswers,
    ReasoningSegmenter,
)

__all__ = [
    "LANGUAGE_MODELS",
    "LANGUAGE_PRESETS",
    "MOST_CHARACTERS",
    "REASONING",
    "SEG",
    "Answer",
    "Conversation",
    "LanguageModel",
    "LanguageModelFiles",
    "ReadAnswers",
    "ReasoningHead",
    "ReasoningSegmenter",
    "check_question",
    "open_language_model",
]
