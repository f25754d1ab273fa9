"""Distil a promptable student from a promptable teacher: the pair in training, its prompts, the student on disk."""

from monai_lora_sam.distillation.distillation import Distillation, DistilledBatch
from monai_lora_sam.distillation.draw_prompts import DrawPromptsd
from monai_lora_sam.distillation.entries import distillation_entries
from monai_lora_sam.distillation.scores import both_masks, unexplained_share
from monai_lora_sam.distillation.student import new_distillation, save_student

__all__ = [
    "DistilledBatch",
    "Distillation",
    "DrawPromptsd",
    "both_masks",
    "distillation_entries",
    "new_distillation",
    "save_student",
    "unexplained_share",
]
