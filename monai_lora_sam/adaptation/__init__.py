"""Adapt a promptable network to one's own data: training by prompts."""

from monai_lora_sam.adaptation.prompted_training import (
    PromptedAnswers,
    PromptedTraining,
    answered_masks,
    iou_error,
)

__all__ = ["PromptedAnswers", "PromptedTraining", "answered_masks", "iou_error"]
