"""The diameter function along one vessel."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.special import erfc

from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.qca.lumen import LumenFinder, lumen_diameters, shows_depth
from monai_lora_sam.coronary.qca.paths import SPACING_PX, VesselPath
from monai_lora_sam.coronary.qca.samples import fill, smooth
from monai_lora_sam.coronary.qca.walls import clearance, half_widths, in_lumen
from monai_lora_sam.coronary.vessel_tree import Node

RECENTRE_SIGMA_PX = 3.0  # of the regression by which the midline moves
RECENTRE_LIMIT_PX = 3.0  # by which the midline moves at most
DIAMETER_SIGMA_PX = 2.0  # of the regression that smooths the diameters
END_REACH = 1.5  # radii before a free end that are left out
# Diameter by the probability, below which there is no lumen: half of the error of a mask's wall, and less than any
# pixel of a mask shows.
EMPTY_PX = 0.25
UNSEEN_PX = 0.9  # the same by the angiogram
LEAST_TRUSTED = 12  # points of a vessel, for a fit to the angiogram
BLUNT_PX = 3.0  # length on either side of a gap over which the vessel's width is looked at
FLANK = 0.15  # of the width; between this and the rest a vessel is narrowing
ROUND_ENDS = 0.46  # of the width: over so long both of two half-circles narrow
HARD_PX, SOFT_PX = 2.2, 4.2  # length of narrowing that the mask's grid, or a blur of a pixel, adds to that
BLUR_PX = 1.2  # of a soft mask, at most; more in a gap than its blurred ends leave there is lumen
# Length of a gap, in px or in diameters, up to which it is a break of the mask (a wire's shadow, say) and no occlusion.
BREAK_PX, BREAK_DIAMETERS = 3.0, 0.25
# Diameter of a cross-section of this vessel alone, at most: a ratio to its clearance, and px besides. Half an
# oblique or steep cross-section is less than 1.5 radii.
OBLIQUE_RATIO, OBLIQUE_PX = 3.0, 1.5


@dataclass(frozen=True, eq=False, repr=False)
class VesselProfile:
    """Hold the diameters along one vessel, from its proximal to its distal end; arrays have one entry a point.

    Attributes:
        vessel_id: the path's number.
        points_rc: (N, 2) midline of the lumen.
        left_wall_rc, right_wall_rc: (N, 2), NaN where not found.
        arc_length_px: (N,) distance along the midline.
        diameter_px: (N,) as measured, NaN where a wall was not found.
        is_measured: (N,) bool: a diameter of this vessel alone, away from bifurcations, crossings and ends.
        smoothed_px: (N,) local quadratic regression over the measured ones, NaN away from them.
        reference_px: (N,) diameter that the vessel would have without disease.
        segment_ids: (N,) uint8 ARCADE category ids, 0 where unknown.
        beside: (N,) bool: beside a bifurcation or another vessel.
        occluded: (N,) bool: without lumen, within a gap of the mask that was bridged.
        overlapped: (N,) bool: so much wider than the reference that another vessel must lie over it.
        direction_known: whether which end is proximal follows from labels or from the vessel it leaves.
        reading_error_px: standard deviation of the diameters where they were read in the angiogram, 0 where they are
            the map's.
        start, end: the nodes at both ends, None at those of a loop.
    """

    vessel_id: int
    points_rc: np.ndarray
    left_wall_rc: np.ndarray
    right_wall_rc: np.ndarray
    arc_length_px: np.ndarray
    diameter_px: np.ndarray
    is_measured: np.ndarray
    smoothed_px: np.ndarray
    reference_px: np.ndarray
    segment_ids: np.ndarray
    occluded: np.ndarray
    overlapped: np.ndarray
    direction_known: bool
    beside: np.ndarray
    reading_error_px: float
    start: Node | None
    end: Node | None

    def __repr__(self) -> str:
        return f"VesselProfile({self.vessel_id}, {self.length_px:.1f} px)"

    @property
    def length_px(self) -> float:
        return float(self.arc_length_px[-1])

    def part(self, begin: int, end: int, start: Node | None, stop: Node | None) -> VesselProfile:
        """Return the points `begin` to `end` (excluded) as a vessel of its own between two nodes."""
        arrays = {name: getattr(self, name)[begin:end] for name in _ARRAYS}
        arrays["arc_length_px"] = arrays["arc_length_px"] - arrays["arc_length_px"][0]
        return replace(self, **arrays, start=start, end=stop)

    def reversed(self) -> VesselProfile:
        """Return the same from the other end."""
        arrays = {name: getattr(self, name)[::-1] for name in _ARRAYS}
        arrays["left_wall_rc"], arrays["right_wall_rc"] = arrays["right_wall_rc"], arrays["left_wall_rc"]
        arrays["arc_length_px"] = self.length_px - arrays["arc_length_px"]
        return replace(self, **arrays, start=self.end, end=self.start)


_ARRAYS = tuple(field.name for field in fields(VesselProfile) if field.type == "np.ndarray")


def measure_path(
    path: VesselPath,
    probability: np.ndarray,
    beside: np.ndarray,
    image: np.ndarray | None = None,
    find_lumen: LumenFinder = lumen_diameters,
) -> VesselProfile:
    """Measure the diameter at every point of a vessel, after moving its line to the middle of the lumen.

    Args:
        path: the vessel.
        probability: (H, W), 0..1.
        beside: (N,) bool, points beside a bifurcation or another vessel (`beside_others`).
        image: (H, W) angiogram, contrast agent dark: then the lumen is read from it, where the probability
            says it is.
        find_lumen: how it is read.
    """
    line, across = _midline(path, probability, ~beside)
    points = line.points
    lumen = _read_lumen(points, across, probability, beside, image, find_lumen)
    gaps = _gaps(path, lumen, probability)
    left, right = points - lumen.sides[0][:, None] * across, points + lumen.sides[1][:, None] * across
    # The blunt end of a vessel is no wall along it.
    walled = (lumen.diameter > 0) & ~gaps.bridged
    free = clearance(np.vstack([left[walled], right[walled]]), points)
    measured = np.isfinite(lumen.diameter) & ~beside & ~gaps.breaks & (gaps.bridged | lumen.is_vessel)
    measured &= ~(lumen.diameter > OBLIQUE_RATIO * free + OBLIQUE_PX) & _away_from_ends(path, line.arc_length)
    smoothed = smooth(lumen.diameter, measured, DIAMETER_SIGMA_PX / SPACING_PX)
    return VesselProfile(
        vessel_id=path.id,
        points_rc=points,
        left_wall_rc=left,
        right_wall_rc=right,
        arc_length_px=line.arc_length,
        diameter_px=lumen.diameter,
        is_measured=measured,
        smoothed_px=np.maximum(smoothed, 0.0),
        reference_px=np.full(len(points), np.nan),
        segment_ids=np.zeros(len(points), np.uint8),
        occluded=gaps.occluded,
        overlapped=np.zeros(len(points), dtype=bool),
        direction_known=False,
        beside=beside,
        reading_error_px=lumen.error_px,
        start=path.starts_at,
        end=path.ends_at,
    )


@dataclass(frozen=True, eq=False)
class _Lumen:
    """Hold the lumen as read along a vessel.

    Attributes:
        sides: (2, N) distance of both walls from the line, NaN where not found.
        diameter: (N,) their sum.
        is_vessel: (N,) bool, where the probability reaches one half.
        in_angiogram: whether the diameters are the angiogram's, not the map's.
        error_px: standard deviation of the diameters, 0 for the map's.
    """

    sides: np.ndarray
    diameter: np.ndarray
    is_vessel: np.ndarray
    in_angiogram: bool
    error_px: float


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Hold where a vessel's gaps lie, (N,) bool each: occlusions, mere breaks of the mask, and all that was bridged."""

    occluded: np.ndarray
    breaks: np.ndarray
    bridged: np.ndarray


def _midline(path: VesselPath, probability: np.ndarray, alone: np.ndarray) -> tuple[Polyline, np.ndarray]:
    """Return the line in the middle of the lumen and the unit vectors (N, 2) across it; a loop stays as it is."""
    if path.closed:
        return path.line, path.normals
    line = Polyline(_recentred(path.points_rc, path.normals, probability, alone))
    return line, line.normals


def _read_lumen(
    points: np.ndarray,
    across: np.ndarray,
    probability: np.ndarray,
    beside: np.ndarray,
    image: np.ndarray | None,
    find_lumen: LumenFinder,
) -> _Lumen:
    """Read the lumen in the map, or in the angiogram where that shows the depth of vessels."""
    sides = half_widths(probability, points, across)
    diameter = sides.sum(axis=0)
    is_vessel = np.isfinite(diameter) & in_lumen(probability, points, across)
    trusted = is_vessel & ~beside & (diameter > 0)
    of_map = _Lumen(sides, diameter, is_vessel, False, 0.0)
    if image is None or trusted.sum() < LEAST_TRUSTED:
        return of_map
    lines = (image, points, across, fill(diameter, trusted), trusted)
    if not shows_depth(*lines):
        return of_map
    read, offset, error_px = find_lumen(*lines)
    diameter = np.where(np.isfinite(diameter), read, np.nan)
    sides = np.stack([diameter / 2 - offset, diameter / 2 + offset])
    return _Lumen(sides, diameter, is_vessel, True, error_px)


def _gaps(path: VesselPath, lumen: _Lumen, probability: np.ndarray) -> _Gaps:
    """Tell occlusions among the bridges of a vessel from breaks of the mask and from lumens that are only thin."""
    diameter = lumen.diameter
    occluded, breaks, bridged = (np.zeros(len(diameter), dtype=bool) for _ in range(3))
    width = float(np.nanmedian(diameter)) if np.isfinite(diameter).any() else 0.0
    soft = bool(((probability > 0) & (probability < 1)).any())
    for begin, end in path.bridges:
        inside = (path.line.arc_length >= begin - 1) & (path.line.arc_length <= end + 1)
        bridged |= inside
        empty = inside & (diameter < (UNSEEN_PX if lumen.in_angiogram else EMPTY_PX))
        # Half a pixel between samples.
        if empty.sum() * SPACING_PX > max(BREAK_PX, BREAK_DIAMETERS * width):
            occluded |= empty
        elif not lumen.in_angiogram and _is_break(diameter, inside, width, soft):
            breaks |= inside
    return _Gaps(occluded, breaks, bridged)


def _is_break(diameter: np.ndarray, inside: np.ndarray, width: float, soft: bool) -> bool:
    """Say whether a gap is a break of the mask: cut bluntly, and no wider than its blurred ends would leave it."""
    if not _is_blunt(diameter, inside, width, soft):
        return False
    gap = float((diameter[inside] < width / 2).sum()) * SPACING_PX
    return float(np.nanmin(diameter[inside])) < EMPTY_PX + _blurred_ends(gap, width)


def _away_from_ends(path: VesselPath, arc: np.ndarray) -> np.ndarray:
    """Say which points of a vessel (N,) lie away from its free ends."""
    away = np.ones(len(arc), dtype=bool)
    if not path.closed:
        for node, distance in ((path.starts_at, arc), (path.ends_at, arc[-1] - arc)):
            if node is not None and node.kind == "end":
                away &= distance >= END_REACH * node.radius_px
    return away


def _recentred(
    points: np.ndarray, across: np.ndarray, probability: np.ndarray, alone: np.ndarray
) -> np.ndarray:
    """Return a line moved to the middle of its lumen, interpolated where the vessel is not `alone` (N,)."""
    sides = np.full((2, len(points)), np.nan)
    sides[:, alone] = half_widths(probability, points[alone], across[alone])
    found = np.isfinite(sides).all(axis=0) & (sides.sum(axis=0) > 0)
    shift = smooth((sides[1] - sides[0]) / 2, found, RECENTRE_SIGMA_PX / SPACING_PX)
    shift = np.nan_to_num(fill(shift, found & np.isfinite(shift)))
    shift = np.clip(shift, -RECENTRE_LIMIT_PX, RECENTRE_LIMIT_PX)
    return points + shift[:, None] * across


def _is_blunt(diameter: np.ndarray, inside: np.ndarray, width: float, soft: bool) -> bool:
    """Say whether a vessel is cut at its full width, and not narrowed until the mask's grid lost it."""
    first, last = np.flatnonzero(inside)[[0, -1]]
    reach = int(BLUNT_PX / SPACING_PX)
    beside = [diameter[max(first - reach, 0) : first], diameter[last + 1 : last + 1 + reach]]
    if not all(np.isfinite(part).any() and np.nanmean(part) > 0.5 * width for part in beside):
        return False
    relative = diameter[max(first - reach, 0) : last + 1 + reach] / np.nanmedian(np.concatenate(beside))
    narrowing = float(((relative > FLANK) & (relative < 1 - FLANK)).sum()) * SPACING_PX
    return narrowing <= ROUND_ENDS * width + (SOFT_PX if soft else HARD_PX)


def _blurred_ends(gap_px: float, width: float) -> float:
    """Return the diameter that two blunt ends, blurred, would show half-way between them."""
    return float(width * erfc(gap_px / 2 / (np.sqrt(2) * BLUR_PX)))
