"""What a quantitative coronary analysis gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_lora_sam.coronary.qca.calibration import Calibration
from monai_lora_sam.coronary.qca.lesion import Lesion, rounded, xy
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.segment import Segment


@dataclass(frozen=True, eq=False)
class QcaResult:
    """Hold the vessels of a picture with their diameter functions, their segments and their lesions.

    Attributes:
        shape: rows and columns of the picture.
        pixel_spacing_mm: millimetres per pixel at the patient, None where unknown.
        profiles: one per vessel.
        segments: one per segment and vessel; one per vessel where no labels were given.
        lesions: numbered from 1.
    """

    shape: tuple[int, int]
    pixel_spacing_mm: float | None
    profiles: tuple[VesselProfile, ...]
    segments: tuple[Segment, ...]
    lesions: tuple[Lesion, ...]

    def to_json(self, calibration: Calibration | None = None) -> dict[str, Any]:
        """Return everything as JSON can hold it; points as (x, y), fields in mm only with a spacing.

        The calibration says how far millimetres may be off; without it the spacing counts as given by hand.
        """
        if calibration is None and self.pixel_spacing_mm is not None:
            calibration = Calibration.of(self.pixel_spacing_mm)
        error = 0.0 if calibration is None else calibration.expected_error_percent
        return {
            "pixel_spacing_mm": self.pixel_spacing_mm,
            **({} if calibration is None else {"calibration": calibration.to_json()}),
            "lesions": [lesion.to_json(self.pixel_spacing_mm, error) for lesion in self.lesions],
            "segments": [segment.to_json(self.pixel_spacing_mm) for segment in self.segments],
            "profiles": [_profile(profile) for profile in self.profiles],
        }


def _profile(profile: VesselProfile) -> dict[str, Any]:
    diameter = np.where(profile.is_measured | profile.occluded, profile.diameter_px, np.nan)
    return {
        "vessel": profile.vessel_id,
        "direction_known": profile.direction_known,
        "centreline_xy": [xy(point) for point in profile.points_rc],
        "segment_id": profile.segment_ids.tolist(),
        "arc_length_px": [rounded(value) for value in profile.arc_length_px],
        "diameter_px": [rounded(value) for value in diameter],
        "reference_diameter_px": [rounded(value) for value in profile.reference_px],
    }
