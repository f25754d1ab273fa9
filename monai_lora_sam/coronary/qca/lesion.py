"""Figures of a lesion: a stenosis, or several that stand close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.stenosis import Stenosis, inside_stenoses
from monai_lora_sam.coronary.qca.uncertainty import Intervals, stenosis_intervals

ONE_LESION_DIAMETERS = 3.0  # stenoses closer than this are one lesion (SYNTAX score, syntaxscore.org)
ADJOINING_DIAMETERS = 2.0  # length beyond a border over which a measured reference is averaged


@dataclass(frozen=True, eq=False)
class Lesion:
    """Hold the measurements of one lesion; lengths and diameters in px, points as row and column.

    Definitions follow DICOM PS3.17 T.4.2. `reference_diameter_px` is the reference line at the point of the
    smallest lumen, and %DS refers to it. `averaged_reference_px` is the mean of the two mean diameters
    measured beside the lesion, the other usual reference, and `percent_diameter_stenosis_averaged_reference`
    refers to it; both are None where nothing was measured there. `stenoses` has the parts of a lesion with several
    minima.
    """

    id: int
    vessel_id: int
    segment_id: int
    begin: int
    minimum: int
    end: int
    minimum_lumen_diameter_px: float
    reference_diameter_px: float
    proximal_reference_px: float | None
    distal_reference_px: float | None
    length_px: float
    total_occlusion: bool
    stenoses: tuple[Stenosis, ...]
    profile: VesselProfile = field(repr=False)

    @property
    def percent_diameter_stenosis(self) -> float:
        return percent_narrowed(self.minimum_lumen_diameter_px, self.reference_diameter_px)

    @property
    def percent_area_stenosis(self) -> float:
        """Of circular lumens: 100 · (1 − (MLD / RVD)²)."""
        return percent_narrowed(self.minimum_lumen_diameter_px**2, self.reference_diameter_px**2)

    @property
    def averaged_reference_px(self) -> float | None:
        known = [one for one in (self.proximal_reference_px, self.distal_reference_px) if one is not None]
        return float(np.mean(known)) if known else None

    @property
    def percent_diameter_stenosis_averaged_reference(self) -> float | None:
        reference = self.averaged_reference_px
        return percent_narrowed(self.minimum_lumen_diameter_px, reference) if reference else None

    @property
    def minimum_rc(self) -> np.ndarray:
        return self.profile.points_rc[self.minimum]

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the vessel from border to border, as wide as the reference."""
        part = slice(self.begin, self.end + 1)
        points, half = self.profile.points_rc[part], self.profile.reference_px[part, None] / 2
        (top, left), (bottom, right) = (points - half).min(axis=0), (points + half).max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def intervals(self, calibration_error_percent: float = 0.0) -> Intervals:
        """Return the 95 % intervals of the narrowest stenosis, see `stenosis_intervals`."""
        narrowest = next(one for one in self.stenoses if one.minimum == self.minimum)
        return stenosis_intervals(self.profile, narrowest, calibration_error_percent)

    def to_json(
        self, pixel_spacing_mm: float | None = None, calibration_error_percent: float | None = None
    ) -> dict[str, Any]:
        """Return plain numbers; fields in mm only with a spacing, points as (x, y).

        With a calibration error (`Calibration.expected_error_percent`) the 95 % intervals of %DS and MLD are
        there as well; it widens those in mm alone.
        """
        points = self.profile.points_rc
        row: dict[str, Any] = {
            "id": self.id,
            "vessel": self.vessel_id,
            "segment_id": self.segment_id or None,
            "percent_diameter_stenosis": rounded(self.percent_diameter_stenosis),
            "percent_area_stenosis": rounded(self.percent_area_stenosis),
            "reference_method": "interpolated",
            "percent_diameter_stenosis_averaged_reference": rounded(
                self.percent_diameter_stenosis_averaged_reference
            ),
            "total_occlusion": self.total_occlusion,
            "mld_xy": xy(points[self.minimum]),
            "proximal_border_xy": xy(points[self.begin]),
            "distal_border_xy": xy(points[self.end]),
            "box_xy": [rounded(value) for value in self.box_xyxy],
        }
        lengths = {
            "mld": self.minimum_lumen_diameter_px,
            "rvd": self.reference_diameter_px,
            "averaged_rvd": self.averaged_reference_px,
            "proximal_reference": self.proximal_reference_px,
            "distal_reference": self.distal_reference_px,
            "length": self.length_px,
        }
        row |= with_units(lengths, pixel_spacing_mm)
        if calibration_error_percent is not None:
            row |= self._intervals_json(pixel_spacing_mm, calibration_error_percent)
        row["stenoses"] = [self._stenosis_json(one, pixel_spacing_mm) for one in self.stenoses]
        return row

    def _intervals_json(
        self, pixel_spacing_mm: float | None, calibration_error_percent: float
    ) -> dict[str, Any]:
        found = self.intervals(calibration_error_percent)
        row = {
            "percent_diameter_stenosis_interval": [rounded(value) for value in found.percent],
            "mld_px_interval": [rounded(value) for value in found.mld_px],
        }
        if pixel_spacing_mm is not None:
            row["mld_mm_interval"] = [rounded(value * pixel_spacing_mm) for value in found.mld_calibrated_px]
        return row

    def _stenosis_json(self, one: Stenosis, pixel_spacing_mm: float | None) -> dict[str, Any]:
        points, arc, reference = self.profile.points_rc, self.profile.arc_length_px, self.profile.reference_px
        lengths: dict[str, float | None] = {
            "mld": one.minimum_lumen_diameter_px,
            "length": float(arc[one.end] - arc[one.begin]),
        }
        return {
            "percent_diameter_stenosis": rounded(
                percent_narrowed(one.minimum_lumen_diameter_px, float(reference[one.minimum]))
            ),
            "mld_xy": xy(points[one.minimum]),
            **with_units(lengths, pixel_spacing_mm),
        }


def segment_at(profile: VesselProfile, stenosis: Stenosis) -> int:
    """Return the ARCADE category id where a stenosis is narrowest, or where the lumen ends before an occlusion.

    A gap has no label of its own: the last one before it counts, else the first one behind it. 0 where none is known.
    """
    if not stenosis.total_occlusion:
        return int(profile.segment_ids[stenosis.minimum])
    closed = stenosis.begin + np.flatnonzero(profile.occluded[stenosis.begin : stenosis.end + 1])
    end = int(closed[0]) if len(closed) else stenosis.minimum
    named = np.flatnonzero(profile.segment_ids)
    if not len(named):
        return 0
    before = named[named <= end]
    return int(profile.segment_ids[before[-1] if len(before) else named[0]])


def percent_narrowed(lumen: float, reference: float) -> float:
    """Return by how much a lumen is narrower than its reference, in percent from 0 to 100.

    A lumen as wide as the reference or wider was measured and is not stenosed: 0, neither less nor None.
    """
    return max(100.0 * (1.0 - lumen / reference), 0.0)


def lesions_of(profile: VesselProfile, stenoses: Sequence[Stenosis], first_id: int = 1) -> list[Lesion]:
    """Make lesions of a vessel's stenoses; those less than three reference diameters apart are one."""
    groups: list[list[Stenosis]] = []
    for stenosis in stenoses:
        if groups:
            before = groups[-1][-1]
            apart = profile.arc_length_px[stenosis.begin] - profile.arc_length_px[before.end]
            reference = profile.reference_px[[before.end, stenosis.begin]].mean()
            if apart < ONE_LESION_DIAMETERS * reference:
                groups[-1].append(stenosis)
                continue
        groups.append([stenosis])
    diseased = inside_stenoses(stenoses, len(profile.points_rc))
    return [lesion_of(profile, group, number, diseased) for number, group in enumerate(groups, first_id)]


def lesion_of(
    profile: VesselProfile, stenoses: Sequence[Stenosis], number: int, diseased: np.ndarray
) -> Lesion:
    """Measure a lesion made of stenoses of a vessel; `diseased` (N,) says where that has any stenosis."""
    worst = min(
        stenoses, key=lambda one: one.minimum_lumen_diameter_px / float(profile.reference_px[one.minimum])
    )
    begin, end = stenoses[0].begin, stenoses[-1].end
    arc = profile.arc_length_px
    reach = ADJOINING_DIAMETERS * float(profile.reference_px[worst.minimum])
    healthy = profile.is_measured & ~diseased
    beside = {}
    for name, low, high in (
        ("proximal", arc[begin] - reach, arc[begin]),
        ("distal", arc[end], arc[end] + reach),
    ):
        near = profile.diameter_px[healthy & (arc >= low) & (arc <= high)]
        beside[name] = float(np.mean(near)) if len(near) >= 4 else None
    return Lesion(
        id=number,
        vessel_id=profile.vessel_id,
        segment_id=segment_at(profile, worst),
        begin=begin,
        minimum=worst.minimum,
        end=end,
        minimum_lumen_diameter_px=worst.minimum_lumen_diameter_px,
        reference_diameter_px=float(profile.reference_px[worst.minimum]),
        proximal_reference_px=beside["proximal"],
        distal_reference_px=beside["distal"],
        length_px=float(arc[end] - arc[begin]),
        total_occlusion=worst.total_occlusion,
        stenoses=tuple(stenoses),
        profile=profile,
    )


def with_units(lengths: dict[str, float | None], pixel_spacing_mm: float | None) -> dict[str, float | None]:
    """Return each length under its name with the unit, in mm besides where the spacing is known."""
    row = {}
    for name, value in lengths.items():
        row[f"{name}_px"] = rounded(value)
        if pixel_spacing_mm is not None:
            row[f"{name}_mm"] = rounded(None if value is None else value * pixel_spacing_mm)
    return row


def xy(point_rc: np.ndarray) -> list[float]:
    """Return (x, y) for JSON."""
    return [round(float(point_rc[1]), 3), round(float(point_rc[0]), 3)]


def rounded(value: float | None) -> float | None:
    """Return a number for JSON, to three places; None for none and for NaN."""
    return round(float(value), 3) if value is not None and np.isfinite(value) else None
