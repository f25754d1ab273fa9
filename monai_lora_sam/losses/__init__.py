"""Losses on logits."""

from monai_lora_sam.losses.lesion_loss import LesionLoss
from monai_lora_sam.losses.segment_loss import SegmentLoss
from monai_lora_sam.losses.vessel_and_segment_loss import VesselAndSegmentLoss
from monai_lora_sam.losses.vessel_loss import VesselLoss

__all__ = ["LesionLoss", "SegmentLoss", "VesselAndSegmentLoss", "VesselLoss"]
