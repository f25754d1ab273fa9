"""Metrics that MONAI lacks: centreline Dice and agreement of measurements."""

from monai_lora_sam.metrics.agreement import Agreement, agreement
from monai_lora_sam.metrics.centreline_dice import CenterlineDiceMetric, centreline_dice

__all__ = [
    "Agreement",
    "CenterlineDiceMetric",
    "agreement",
    "centreline_dice",
]
