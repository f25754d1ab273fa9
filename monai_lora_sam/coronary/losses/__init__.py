"""Losses of the three stages, on logits."""

from monai_lora_sam.coronary.losses.diameter_loss import DiameterLoss
from monai_lora_sam.coronary.losses.lesion_loss import LesionLoss
from monai_lora_sam.coronary.losses.refinement_loss import RefinementLoss
from monai_lora_sam.coronary.losses.segment_loss import SegmentLoss
from monai_lora_sam.coronary.losses.vessel_and_segment_loss import VesselAndSegmentLoss
from monai_lora_sam.coronary.losses.vessel_loss import VesselLoss

__all__ = [
    "DiameterLoss",
    "LesionLoss",
    "RefinementLoss",
    "SegmentLoss",
    "VesselAndSegmentLoss",
    "VesselLoss",
]
