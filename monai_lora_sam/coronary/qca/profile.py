"""The diameter function along one vessel."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import permutations

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import erfc

from monai_lora_sam.coronary.qca.lumen import LumenFinder, lumen_diameters, shows_depth
from monai_lora_sam.coronary.qca.paths import SPACING_PX, VesselPath, arc_length, radius_along
from monai_lora_sam.coronary.qca.smoothing import fill, smooth
from monai_lora_sam.coronary.qca.walls import clearance, half_widths, in_lumen, normals
from monai_lora_sam.coronary.vessel_tree import Node

RECENTRE_SIGMA_PX = 3.0
DIAMETER_SIGMA_PX = 2.0
END_REACH = 1.5  # radii before a free end that are left out
OWN_RADIUS = 1.3  # times its median radius a vessel is at most wide where it leaves another
MOUTH_PX = 1.0  # beside another vessel's lumen, in addition to that vessel's radius
EMPTY_PX = 0.25  # by the probability, less is no lumen
UNSEEN_PX = 0.9  # the same by the angiogram
LEAST_TRUSTED = 12  # points of a vessel, for a fit to the angiogram
BLUNT_PX = 3.0  # stretch on either side of a gap over which the vessel's width is looked at
FLANK = 0.15  # of the width; between this and the rest a vessel is narrowing
ROUND_ENDS = 0.46  # of the width: over so long both of two half-circles narrow
HARD_PX, SOFT_PX = 2.2, 4.2  # and this more by the mask's grid, or by a blur of a pixel
BLUR_PX = 1.2  # of a soft mask, at most; what is left in a gap beyond that of its blurred ends is lumen
SHORT_GAP_PX = 3.0  # gaps up to here, or half a diameter, are breaks of the mask and no occlusion


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
        occluded: (N,) bool: within a gap of the mask that was bridged.
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
    points, arc = path.points_rc, path.arc_length_px
    across = normals(points, path.closed)
    if not path.closed:
        points = _recentred(points, across, probability, ~beside)
        across, arc = normals(points), arc_length(points)
    sides = half_widths(probability, points, across)
    diameter = sides.sum(axis=0)
    lumen = np.isfinite(diameter) & in_lumen(probability, points, across)
    trusted = lumen & ~beside & (diameter > 0)
    in_angiogram, reading_error = False, 0.0
    if image is not None and trusted.sum() >= LEAST_TRUSTED:
        lines = (image, points, across, fill(diameter, trusted), trusted)
        in_angiogram = shows_depth(*lines)
    if in_angiogram:
        read, offset, reading_error = find_lumen(*lines)
        diameter = np.where(np.isfinite(diameter), read, np.nan)
        sides = np.stack([diameter / 2 - offset, diameter / 2 + offset])
    left, right = points - sides[0][:, None] * across, points + sides[1][:, None] * across
    occluded = np.zeros(len(points), dtype=bool)
    width = float(np.nanmedian(diameter)) if np.isfinite(diameter).any() else 0.0
    short = np.zeros(len(points), dtype=bool)
    soft = bool(((probability > 0) & (probability < 1)).any())
    for begin, end in path.bridges:
        inside = (path.arc_length_px >= begin - 1) & (path.arc_length_px <= end + 1)
        empty = inside & (diameter < (UNSEEN_PX if in_angiogram else EMPTY_PX))
        # Half a pixel between samples.
        if empty.sum() * SPACING_PX > max(SHORT_GAP_PX, 0.5 * width):
            occluded |= empty
        elif not in_angiogram and _is_blunt(diameter, inside, width, soft):
            gap = float((diameter[inside] < width / 2).sum()) * SPACING_PX
            if float(np.nanmin(diameter[inside])) < EMPTY_PX + _blurred_ends(gap, width):
                short |= inside
    bridged = occluded | short
    for begin, end in path.bridges:
        bridged |= (path.arc_length_px >= begin - 1) & (path.arc_length_px <= end + 1)
    # The blunt end of a vessel is no wall along it.
    walled = (diameter > 0) & ~bridged
    free = clearance(np.vstack([left[walled], right[walled]]), points)
    measured = np.isfinite(diameter) & ~beside & ~short & (bridged | lumen)
    # Half an oblique or steep cross-section is less than 1.5 radii.
    measured &= ~(diameter > 3.0 * free + 1.5)
    if not path.closed:
        for node, distance in ((path.starts_at, arc), (path.ends_at, arc[-1] - arc)):
            if node is not None and node.kind == "end":
                measured &= distance >= END_REACH * node.radius_px
    smoothed = smooth(diameter, measured, DIAMETER_SIGMA_PX / SPACING_PX)
    return VesselProfile(
        vessel_id=path.id,
        points_rc=points,
        left_wall_rc=left,
        right_wall_rc=right,
        arc_length_px=arc,
        diameter_px=diameter,
        is_measured=measured,
        smoothed_px=np.maximum(smoothed, 0.0),
        reference_px=np.full(len(points), np.nan),
        segment_ids=np.zeros(len(points), np.uint8),
        occluded=occluded,
        overlapped=np.zeros(len(points), dtype=bool),
        direction_known=False,
        beside=beside,
        reading_error_px=reading_error,
        start=path.starts_at,
        end=path.ends_at,
    )


def _recentred(
    points: np.ndarray, across: np.ndarray, probability: np.ndarray, alone: np.ndarray
) -> np.ndarray:
    """Return a line moved to the middle of its lumen, as that is where the vessel is `alone` (N,)."""
    sides = np.full((2, len(points)), np.nan)
    sides[:, alone] = half_widths(probability, points[alone], across[alone])
    found = np.isfinite(sides).all(axis=0) & (sides.sum(axis=0) > 0)
    shift = smooth((sides[1] - sides[0]) / 2, found, RECENTRE_SIGMA_PX / SPACING_PX)
    shift = np.clip(np.nan_to_num(fill(shift, found & np.isfinite(shift))), -3.0, 3.0)
    return points + shift[:, None] * across


def _is_blunt(diameter: np.ndarray, inside: np.ndarray, width: float, soft: bool) -> bool:
    """Say whether a vessel is cut at its full width, and not narrowed until the mask's grid lost it."""
    first, last = np.flatnonzero(inside)[[0, -1]]
    reach = int(BLUNT_PX / SPACING_PX)
    beside = [diameter[max(first - reach, 0) : first], diameter[last + 1 : last + 1 + reach]]
    if not all(len(part) > 0 and np.nanmean(part) > 0.5 * width for part in beside):
        return False
    relative = diameter[max(first - reach, 0) : last + 1 + reach] / np.nanmedian(np.concatenate(beside))
    narrowing = float(((relative > FLANK) & (relative < 1 - FLANK)).sum()) * SPACING_PX
    return narrowing <= ROUND_ENDS * width + (SOFT_PX if soft else HARD_PX)


def _blurred_ends(gap_px: float, width: float) -> float:
    """Return the diameter that two blunt ends, blurred, would show half-way between them."""
    return float(width * erfc(gap_px / 2 / (np.sqrt(2) * BLUR_PX)))


def beside_others(paths: list[VesselPath], others: list[np.ndarray], radius: np.ndarray) -> list[np.ndarray]:
    """Say for each vessel which of its points lie beside a bifurcation or another vessel.

    A side branch's mouth reaches along the vessel as far as the branch's centreline lies within the vessel's
    lumen, and one radius of the branch on either side; the same where another vessel crosses. A side branch
    itself counts from where it has left the other lumen, and one radius of its own.

    Args:
        paths: the vessels.
        others: (M, 2) further centrelines, of short branches inside junctions.
        radius: (H, W), distance of each pixel of the mask to the background.

    Returns:
        One (N,) bool array per vessel.
    """
    lines = [path.points_rc for path in paths] + others
    radii = [radius_along(line, radius) for line in lines]
    boxes = [(line.min(axis=0), line.max(axis=0)) for line in lines]
    trees = [cKDTree(line) for line in lines]
    # Inside the junction a branch's own radius cannot be seen.
    shown = [np.minimum(one, OWN_RADIUS * np.median(one)) + MOUTH_PX for one in radii]
    # Where stretches begin (+1) and end (-1) along each vessel.
    changes = [np.zeros(len(path.points_rc) + 1, dtype=int) for path in paths]
    for p, q in permutations(range(len(lines)), 2):
        largest = max(radii[p].max(), radii[q].max()) + 1.0
        if min(p, q) >= len(paths) or _boxes_apart(boxes[p], boxes[q], largest):
            continue
        far, nearest = trees[p].query(lines[q], distance_upper_bound=largest)
        hit = np.flatnonzero(np.isfinite(far))
        hit = hit[far[hit] < radii[p][nearest[hit]] + 1.0]
        if p < len(paths):
            _mark(changes[p], nearest[hit], shown[q][hit])
        if q < len(paths):
            _mark(changes[q], hit, shown[q][hit])
    return [np.cumsum(change)[:-1] > 0 for change in changes]


def _mark(changes: np.ndarray, places: np.ndarray, margins_px: np.ndarray) -> None:
    reach = (margins_px / SPACING_PX).astype(int)
    np.add.at(changes, np.maximum(places - reach, 0), 1)
    np.add.at(changes, np.minimum(places + reach + 1, len(changes) - 1), -1)


def _boxes_apart(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], margin: float
) -> bool:
    return bool(np.any(one[0] > other[1] + margin) or np.any(other[0] > one[1] + margin))
