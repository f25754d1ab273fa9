"""Figures of a segment: those of a lesion, over the part of a vessel that has its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_lora_sam.coronary.anatomy import segment_name, syntax_from_arcade_id
from monai_lora_sam.coronary.qca.lesion import Lesion, lesion_of, with_units
from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.stenosis import LEAST_STENOSIS, Stenosis
from monai_lora_sam.coronary.qca.vessels import SHORTEST_PX


@dataclass(frozen=True, eq=False)
class Segment:
    """Hold the measurements of one segment of a vessel, or of a whole vessel where no labels were given.

    Attributes:
        segment_id: ARCADE category id, 0 without labels.
        extent: the figures of a lesion from the segment's proximal to its distal border: the smallest diameter, its
            point, the reference there, %DS.
        median_diameter_px: over the measured points.
        proximal_diameter_px, distal_diameter_px: reference diameters at the two borders.
        lesion_ids: the lesions whose smallest lumen lies in it.
    """

    segment_id: int
    extent: Lesion
    median_diameter_px: float
    proximal_diameter_px: float
    distal_diameter_px: float
    lesion_ids: tuple[int, ...]

    @property
    def name(self) -> str:
        if not self.segment_id:
            return f"vessel {self.extent.vessel_id}"
        return segment_name(syntax_from_arcade_id(self.segment_id))

    def to_json(self, pixel_spacing_mm: float | None = None) -> dict[str, Any]:
        """Return plain numbers; fields in mm only with a spacing, points as (x, y)."""
        row = self.extent.to_json(pixel_spacing_mm)
        for key in ("id", "stenoses", "box_xy"):
            del row[key]
        diameters: dict[str, float | None] = {
            "median_diameter": self.median_diameter_px,
            "proximal_diameter": self.proximal_diameter_px,
            "distal_diameter": self.distal_diameter_px,
        }
        return {
            "segment_id": row.pop("segment_id"),
            "name": self.name,
            **row,
            **with_units(diameters, pixel_spacing_mm),
            "lesions": list(self.lesion_ids),
        }


def segments_of(profile: VesselProfile, lesions: Sequence[Lesion]) -> list[Segment]:
    """Measure the segments of a vessel from proximal to distal; without labels the vessel is one."""
    if not np.isfinite(profile.reference_px).all():
        return []
    ids = [int(one) for one in np.unique(profile.segment_ids) if one] or [0]
    diseased = np.zeros(len(profile.points_rc), dtype=bool)
    for lesion in lesions:
        diseased[lesion.begin : lesion.end + 1] = True
    segments = [_segment(profile, number, lesions, diseased) for number in ids]
    return sorted((one for one in segments if one is not None), key=lambda one: one.extent.begin)


def _segment(
    profile: VesselProfile, number: int, lesions: Sequence[Lesion], diseased: np.ndarray
) -> Segment | None:
    """Measure one segment; None where it is too short or nothing of it was measured."""
    inside = profile.segment_ids == number
    known = inside & profile.is_measured & np.isfinite(profile.smoothed_px)
    if inside.sum() * SPACING_PX < SHORTEST_PX or not known.any():
        return None
    begin, end = np.flatnonzero(inside)[[0, -1]].tolist()
    here = [lesion for lesion in lesions if begin <= lesion.minimum <= end]
    if here:
        # The lesion's own fit is the better one there.
        worst = max(here, key=lambda one: one.percent_diameter_stenosis)
        minimum, diameter, closed = worst.minimum, worst.minimum_lumen_diameter_px, worst.total_occlusion
    else:
        relative = np.where(known, profile.smoothed_px / profile.reference_px, np.inf)
        minimum = int(np.argmin(_without_fading_ends(profile, relative)))
        diameter, closed = float(profile.smoothed_px[minimum]), False
    stretch = Stenosis(begin, minimum, end, diameter, closed)
    return Segment(
        segment_id=number,
        extent=lesion_of(profile, [stretch], 0, diseased),
        median_diameter_px=float(np.median(profile.diameter_px[known])),
        proximal_diameter_px=float(profile.reference_px[begin]),
        distal_diameter_px=float(profile.reference_px[end]),
        lesion_ids=tuple(lesion.id for lesion in here),
    )


def _without_fading_ends(profile: VesselProfile, relative: np.ndarray) -> np.ndarray:
    """Set stretches that narrow to an end of the vessel and do not recover to infinity, unless nothing is left."""
    with np.errstate(invalid="ignore"):
        healthy = profile.is_measured & (profile.smoothed_px > (1 - LEAST_STENOSIS) * profile.reference_px)
    wide = np.flatnonzero(healthy)
    if not len(wide):
        return relative
    kept = np.full(len(relative), np.inf)
    between = slice(wide[0], wide[-1] + 1)
    kept[between] = relative[between]
    return kept if np.isfinite(kept).any() else relative
