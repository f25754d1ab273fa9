"""Losses on logits."""

from monai_lora_sam.losses.vessel_loss import VesselLoss

__all__ = ["VesselLoss"]
