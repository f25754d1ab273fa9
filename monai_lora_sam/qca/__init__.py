"""Measurements along a vessel tree."""

from __future__ import annotations

from monai_lora_sam.qca.diameter import DiameterProfile, diameter_profile
from monai_lora_sam.qca.summary import summarise_tree

__all__ = ["DiameterProfile", "diameter_profile", "summarise_tree"]
