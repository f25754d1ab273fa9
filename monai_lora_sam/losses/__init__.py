"""Losses that MONAI lacks and no organ owns: distillation of a teacher into a student, masks from prompts and words."""

from monai_lora_sam.losses.concept_loss import ConceptLoss
from monai_lora_sam.losses.distillation_loss import DistillationLoss, feature_distance, mask_divergence
from monai_lora_sam.losses.feature_projection import FeatureProjection
from monai_lora_sam.losses.prompted_loss import PromptedLoss, intersection_over_union
from monai_lora_sam.losses.reasoning_loss import ReasoningLoss
from monai_lora_sam.losses.text_loss import TextLoss
from monai_lora_sam.losses.valid_area import cell_weights, resize_valid, valid_area

__all__ = [
    "ReasoningLoss",
    "ConceptLoss",
    "DistillationLoss",
    "FeatureProjection",
    "PromptedLoss",
    "TextLoss",
    "cell_weights",
    "feature_distance",
    "intersection_over_union",
    "mask_divergence",
    "resize_valid",
    "valid_area",
]
