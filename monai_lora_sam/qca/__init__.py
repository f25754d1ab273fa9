"""Quantitative coronary analysis: diameters along vessels, reference lines, lesions."""

from __future__ import annotations

from monai_lora_sam.qca.diameter import DiameterProfile, diameter_profile
from monai_lora_sam.qca.lesion import Lesion
from monai_lora_sam.qca.measure import measure
from monai_lora_sam.qca.place import lesion_at
from monai_lora_sam.qca.profile import VesselProfile
from monai_lora_sam.qca.result import QcaResult
from monai_lora_sam.qca.segment import Segment
from monai_lora_sam.qca.stenosis import Stenosis
from monai_lora_sam.qca.summary import summarise_tree

__all__ = [
    "DiameterProfile",
    "Lesion",
    "QcaResult",
    "Segment",
    "Stenosis",
    "VesselProfile",
    "diameter_profile",
    "lesion_at",
    "measure",
    "summarise_tree",
]
