"""Quantitative coronary analysis: diameters along vessels, reference lines, lesions."""

from __future__ import annotations

from monai_lora_sam.qca.calibration import Calibration, calibrate_by_catheter
from monai_lora_sam.qca.diameter import DiameterProfile, diameter_profile
from monai_lora_sam.qca.lesion import Lesion
from monai_lora_sam.qca.measure import measure
from monai_lora_sam.qca.place import lesion_at, stenosis_at
from monai_lora_sam.qca.profile import VesselProfile
from monai_lora_sam.qca.result import QcaResult
from monai_lora_sam.qca.segment import Segment
from monai_lora_sam.qca.stenosis import Stenosis
from monai_lora_sam.qca.summary import summarise_tree
from monai_lora_sam.qca.syntax_score import (
    AdverseCharacteristics,
    ScoredLesion,
    SyntaxScore,
    UnsupportedScore,
    scored_lesions,
    syntax_score,
)
from monai_lora_sam.qca.uncertainty import Intervals, stenosis_intervals

__all__ = [
    "AdverseCharacteristics",
    "Calibration",
    "DiameterProfile",
    "Intervals",
    "Lesion",
    "QcaResult",
    "ScoredLesion",
    "Segment",
    "Stenosis",
    "SyntaxScore",
    "UnsupportedScore",
    "VesselProfile",
    "calibrate_by_catheter",
    "diameter_profile",
    "lesion_at",
    "measure",
    "scored_lesions",
    "stenosis_at",
    "stenosis_intervals",
    "summarise_tree",
    "syntax_score",
]
