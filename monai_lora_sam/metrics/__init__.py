"""Metrics that MONAI lacks: centreline Dice, agreement of measurements, means with intervals."""

from monai_lora_sam.metrics.agreement import Agreement, agreement
from monai_lora_sam.metrics.centreline_dice import CenterlineDiceMetric, centreline_dice
from monai_lora_sam.metrics.mean_with_interval import mean_with_interval

__all__ = [
    "Agreement",
    "CenterlineDiceMetric",
    "agreement",
    "centreline_dice",
    "mean_with_interval",
]
