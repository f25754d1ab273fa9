"""Lumen diameter along a branch, by the half-height of the vessel probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from monai_lora_sam.coronary.vessel_tree import Branch

EDGE = 0.5  # probability at which the vessel ends
STEP_PX = 0.25  # between two samples across the vessel
RECENTRE_PX = 1.0  # how far beside the centreline the lumen is looked for
NODE_REACH = 1.5  # radii around a node that are left out: a little more than the diagonal of a blunt end
# Half-lengths of the line across; a longer one only where the wall was not met.
REACHES_PX = (8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, eq=False)
class DiameterProfile:
    """Hold the diameters along one branch; all arrays have one entry per centreline point.

    `diameter_px` is NaN where a wall was not found: the vessel leaves the picture, or the probability on the
    centreline is below one half. `in_confluence` marks the points where a line across meets another branch,
    a stump, a kink or the tip of the vessel, so that the diameter is none of this branch: those within 1.5
    radii of a node, and those whose line is far longer than the free room around the point. The `_mm` fields
    are None without a pixel spacing.
    """

    branch_id: int
    centreline_rc: np.ndarray
    left_wall_rc: np.ndarray
    right_wall_rc: np.ndarray
    arc_length_px: np.ndarray
    diameter_px: np.ndarray
    in_confluence: np.ndarray
    pixel_spacing_mm: float | None

    @property
    def is_measured(self) -> np.ndarray:
        """Points with a diameter of this branch alone, (N,) bool."""
        return np.isfinite(self.diameter_px) & ~self.in_confluence

    @property
    def arc_length_mm(self) -> np.ndarray | None:
        return None if self.pixel_spacing_mm is None else self.arc_length_px * self.pixel_spacing_mm

    @property
    def diameter_mm(self) -> np.ndarray | None:
        return None if self.pixel_spacing_mm is None else self.diameter_px * self.pixel_spacing_mm


def diameter_profile(
    branch: Branch, probability: np.ndarray, pixel_spacing_mm: float | None = None
) -> DiameterProfile:
    """Measure the diameter at every centreline point, to a fraction of a pixel.

    At each point the map is sampled along the perpendicular (bilinear), and the two places nearest to the
    centreline where it falls through 0.5 are the walls.

    Args:
        branch: a branch of the tree built from the same picture.
        probability: (H, W), vessel probability 0..1, or a bool mask (then the walls are coarse, to about
            half a pixel).
        pixel_spacing_mm: millimetres per pixel at the patient, or None where unknown.

    Raises:
        ValueError: the map is not two-dimensional, holds NaN or values outside 0..1; the spacing is not
            positive.

    Example:
        >>> tree = build_vessel_tree(probability >= 0.5)
        >>> profiles = [diameter_profile(branch, probability, 0.3) for branch in tree.branches]
    """
    probability = _checked(probability, pixel_spacing_mm)
    points = branch.centreline_rc
    across = _normals(points, branch.is_closed)
    left, right = _walls(probability, points, across)
    left_wall, right_wall = points + left[:, None] * across, points + right[:, None] * across
    arc = branch.arc_length_px
    # A disc of this radius touches the nearest wall; half an oblique or steep cross-section is less than 1.5
    # radii.
    clearance = _distance_to(np.vstack([left_wall, right_wall]), points)
    confluence = right - left > 3.0 * clearance + 1.5
    for node, distance in ((branch.start, arc), (branch.end, branch.length_px - arc)):
        if node is not None:
            confluence |= distance < NODE_REACH * node.radius_px
    return DiameterProfile(
        branch_id=branch.id,
        centreline_rc=points,
        left_wall_rc=left_wall,
        right_wall_rc=right_wall,
        arc_length_px=arc,
        diameter_px=right - left,
        in_confluence=confluence,
        pixel_spacing_mm=pixel_spacing_mm,
    )


def _distance_to(others: np.ndarray, points: np.ndarray) -> np.ndarray:
    others = others[np.isfinite(others).all(axis=1)]
    return cKDTree(others).query(points)[0] if len(others) else np.full(len(points), np.nan)


def _checked(probability: np.ndarray, pixel_spacing_mm: float | None) -> np.ndarray:
    if np.ndim(probability) != 2:
        raise ValueError(
            f"expected a probability map of shape (height, width), found {np.shape(probability)}"
        )
    probability = np.asarray(probability, dtype=np.float32)
    low, high = probability.min(), probability.max()
    if not (low >= 0 and high <= 1):  # also false for NaN
        raise ValueError(f"expected probabilities within 0..1, found {low} to {high}")
    if pixel_spacing_mm is not None and not (np.isfinite(pixel_spacing_mm) and pixel_spacing_mm > 0):
        raise ValueError(f"expected a pixel spacing above 0 mm, found {pixel_spacing_mm}")
    return probability


def _normals(points: np.ndarray, closed: bool) -> np.ndarray:
    """Return unit vectors across the centreline, (N, 2)."""
    if closed:
        ring = np.vstack([points[-2], points, points[1]])
        tangents = ring[2:] - ring[:-2]
    else:
        tangents = np.gradient(points, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-12)
    return np.column_stack([tangents[:, 1], -tangents[:, 0]])


def _walls(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the signed distances of both walls from the centreline, (N,) each, NaN where not found."""
    walls = np.full((2, len(points)), np.nan)
    for reach in REACHES_PX:
        open_rows = np.flatnonzero(np.isnan(walls).any(axis=0))
        if not len(open_rows):
            break
        walls[:, open_rows] = _crossings(probability, points[open_rows], across[open_rows], reach)
    walls[:, np.isnan(walls).any(axis=0)] = np.nan
    return walls[0], walls[1]


def _crossings(probability: np.ndarray, points: np.ndarray, across: np.ndarray, reach: float) -> np.ndarray:
    offsets = np.arange(-reach, reach + STEP_PX / 2, STEP_PX)
    places = points[:, None, :] + offsets[None, :, None] * across[:, None, :]
    # NaN outside the picture: a vessel that leaves it has no wall there.
    samples = map_coordinates(probability, places.transpose(2, 0, 1), order=1, mode="constant", cval=np.nan)
    rows = np.arange(len(points))
    near = np.flatnonzero(np.abs(offsets) <= RECENTRE_PX)
    # Of equally high samples the one nearest to the centreline.
    near = near[np.argsort(np.abs(offsets[near]), kind="stable")]
    centre = near[np.argmax(np.nan_to_num(samples[:, near], nan=-1.0), axis=1)]
    in_lumen = samples[rows, centre] >= EDGE
    columns = np.arange(len(offsets))[None, :]
    outside = ~(samples >= EDGE)
    walls = np.full((2, len(points)), np.nan)
    before = np.where(outside & (columns < centre[:, None]), columns, -1).max(axis=1)
    after = np.where(outside & (columns > centre[:, None]), columns, len(offsets)).min(axis=1)
    for side, (outer, step) in enumerate(((before, 1), (after, -1))):
        found = in_lumen & (outer >= 0) & (outer < len(offsets))
        low = samples[rows[found], outer[found]]
        high = samples[rows[found], outer[found] + step]
        walls[side, found] = offsets[outer[found]] + step * STEP_PX * (EDGE - low) / (high - low)
    return walls
