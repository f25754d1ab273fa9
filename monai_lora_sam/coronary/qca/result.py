"""The result of a quantitative coronary analysis, and the summary of its vessels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_lora_sam.coronary.qca.calibration import Calibration
from monai_lora_sam.coronary.qca.lesion import Lesion, rounded, with_units, xy
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.segment import Segment
from monai_lora_sam.coronary.vessel_tree import VesselTree


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
        """Return the whole result as JSON can hold it; points as (x, y), fields in mm only with a spacing.

        The calibration has the expected error of millimetres; without it the spacing counts as given by hand.
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


def summarise_tree(tree: VesselTree, result: QcaResult) -> dict[str, Any]:
    """Return the size of a tree and the diameters of its vessels as a dictionary that JSON can hold.

    Minimum, median and maximum are taken where the diameter belongs to the vessel alone
    (`VesselProfile.is_measured`), and are None where no such point exists. Fields in mm are there only with a
    pixel spacing.

    Args:
        tree: the tree.
        result: the measurement of the same picture; `branches` has an entry for each of its vessels.

    Raises:
        ValueError: tree and result are of pictures of different sizes.

    Example:
        >>> summarise_tree(tree, measure(probability, tree=tree))["branches"][0]["median_diameter_px"]
    """
    if tree.shape != result.shape:
        raise ValueError(f"expected a result of a picture of {tree.shape}, found {result.shape}")
    height, width = tree.shape
    spacing = result.pixel_spacing_mm
    return {
        "area_px": tree.area_px,
        "area_fraction": tree.area_px / (height * width),
        "components": tree.components,
        "bifurcations": sum(node.kind == "bifurcation" for node in tree.nodes),
        **with_units({"centreline_length": tree.centreline_length_px}, spacing),
        "branches": [_vessel(profile, spacing) for profile in result.profiles],
    }


def _vessel(profile: VesselProfile, spacing: float | None) -> dict[str, Any]:
    measured = profile.diameter_px[profile.is_measured]
    lowest, median, highest = np.quantile(measured, [0.0, 0.5, 1.0]) if len(measured) else (None, None, None)
    lengths: dict[str, float | None] = {
        "length": profile.length_px,
        "minimum_diameter": lowest,
        "median_diameter": median,
        "maximum_diameter": highest,
    }
    return {
        "id": profile.vessel_id,
        "middle_xy": xy(profile.points_rc[len(profile.points_rc) // 2]),
        **with_units(lengths, spacing),
        "profile": {
            "arc_length_px": [rounded(value) for value in profile.arc_length_px],
            "diameter_px": [rounded(value) for value in _shown_diameters(profile)],
        },
    }


def _shown_diameters(profile: VesselProfile) -> np.ndarray:
    """Return the diameters (N,) of this vessel alone and of its occlusions, NaN elsewhere."""
    return np.where(profile.is_measured | profile.occluded, profile.diameter_px, np.nan)


def _profile(profile: VesselProfile) -> dict[str, Any]:
    return {
        "vessel": profile.vessel_id,
        "direction_known": profile.direction_known,
        "centreline_xy": [xy(point) for point in profile.points_rc],
        "segment_id": profile.segment_ids.tolist(),
        "arc_length_px": [rounded(value) for value in profile.arc_length_px],
        "diameter_px": [rounded(value) for value in _shown_diameters(profile)],
        "reference_diameter_px": [rounded(value) for value in profile.reference_px],
    }
