"""Quantitative coronary analysis: diameters along vessels, reference lines, lesions."""

from monai_lora_sam.coronary.qca.calibration import BY_HAND, Calibration, calibrate_by_catheter
from monai_lora_sam.coronary.qca.confirmed_lesions import ConfirmedScore, score_confirmed
from monai_lora_sam.coronary.qca.lesion import Lesion, with_units
from monai_lora_sam.coronary.qca.lumen import LumenFinder, lumen_diameters
from monai_lora_sam.coronary.qca.measure import measure
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.result import QcaResult, summarise_tree
from monai_lora_sam.coronary.qca.segment import Segment
from monai_lora_sam.coronary.qca.site import lesion_at, stenosis_at
from monai_lora_sam.coronary.qca.stenosis import Stenosis
from monai_lora_sam.coronary.qca.syntax_score import (
    AdverseCharacteristics,
    ScoredLesion,
    SyntaxScore,
    UnsupportedScore,
    scored_lesions,
    syntax_score,
)
from monai_lora_sam.coronary.qca.uncertainty import Intervals, stenosis_intervals

__all__ = [
    "AdverseCharacteristics",
    "BY_HAND",
    "Calibration",
    "ConfirmedScore",
    "Intervals",
    "Lesion",
    "LumenFinder",
    "QcaResult",
    "ScoredLesion",
    "Segment",
    "Stenosis",
    "SyntaxScore",
    "UnsupportedScore",
    "VesselProfile",
    "calibrate_by_catheter",
    "lesion_at",
    "lumen_diameters",
    "measure",
    "score_confirmed",
    "scored_lesions",
    "stenosis_at",
    "stenosis_intervals",
    "summarise_tree",
    "syntax_score",
    "with_units",
]
