"""Metrics that MONAI lacks."""

from monai_lora_sam.metrics.centreline_dice import CenterlineDiceMetric, centreline_dice

__all__ = ["CenterlineDiceMetric", "centreline_dice"]
