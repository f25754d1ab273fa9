"""Metrics that MONAI lacks, scores of one object by MONAI's, means with their intervals."""

from monai_lora_sam.metrics.agreement import Agreement, agreement
from monai_lora_sam.metrics.centreline_dice import CenterlineDiceMetric, centreline_dice
from monai_lora_sam.metrics.mean_with_interval import mean_with_interval
from monai_lora_sam.metrics.object_scores import OBJECT_SCORES, TOLERANCE_PX, object_scores

__all__ = [
    "Agreement",
    "CenterlineDiceMetric",
    "OBJECT_SCORES",
    "TOLERANCE_PX",
    "agreement",
    "centreline_dice",
    "mean_with_interval",
    "object_scores",
]
