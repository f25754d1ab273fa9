"""Where the vessel's walls lie on lines across a centreline."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

EDGE = 0.5  # probability above which a sample is lumen
BACKGROUND = 0.05  # probability below which a line has left the vessel for good
RISE = 0.05  # a probability that climbs by this much again, further out, belongs to a neighbour
NEAR_PX = 1.0  # how far beside its line the lumen may lie
RIDGE_PX = 2.0  # how far beside a thin lumen its line may run
STEP_PX = 0.25  # between two samples across the vessel
# Half-lengths of the line across; a longer one only where the wall was not met.
REACHES_PX = (4.0, 8.0, 16.0, 32.0, 64.0)


def normals(points: np.ndarray, closed: bool = False) -> np.ndarray:
    """Return unit vectors (N, 2) across a polyline (N, 2)."""
    if closed:
        ring = np.vstack([points[-2], points, points[1]])
        tangents = ring[2:] - ring[:-2]
    else:
        tangents = np.gradient(points, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-12)
    return np.column_stack([tangents[:, 1], -tangents[:, 0]])


def half_widths(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return how far the lumen reaches to either side of each point, (2, N) in pixels, to a fraction of one.

    The probability (bilinear) is integrated along the line, outwards from the centreline until it has left the
    vessel. Blurring or drawing on a grid moves the place of the level 0.5 inwards in a vessel as thin as the
    blur, but leaves the integral as it is; a wide vessel has the same width by both. Where the map is zero
    the width is zero.

    Args:
        probability: (H, W), 0..1.
        points: (N, 2) centreline.
        across: (N, 2) unit vectors; the first row of the result lies against them, the second along them.

    Returns:
        (2, N); NaN on both sides where a side leaves the picture before it leaves the vessel, or is wider than
        the longest line.
    """
    offset = _ridge_offsets(probability, points, across)
    points = points + offset[:, None] * across
    sides = np.full((2, len(points)), np.nan)
    for reach in REACHES_PX:
        for side, sign in enumerate((-1.0, 1.0)):
            rows = np.flatnonzero(np.isnan(sides[side]))
            if len(rows):
                sides[side, rows] = _reach_of(probability, points[rows], sign * across[rows], reach)
    sides[:, np.isnan(sides).any(axis=0)] = np.nan
    return sides + np.stack([-offset, offset])


def _ridge_offsets(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return how far beside each point the highest probability lies; 0 where the point lies in the lumen.

    Seen from beside a lumen that is thinner than the blur, its own ridge would look like a neighbour.
    """
    offsets = np.arange(-RIDGE_PX, RIDGE_PX + STEP_PX / 2, STEP_PX)
    offset = np.zeros(len(points))
    rows = np.flatnonzero(map_coordinates(probability, points.T, order=1) < EDGE)
    places = points[rows, None, :] + offsets[None, :, None] * across[rows, None, :]
    offset[rows] = offsets[map_coordinates(probability, places.transpose(2, 0, 1), order=1).argmax(axis=1)]
    return offset


def _reach_of(probability: np.ndarray, points: np.ndarray, direction: np.ndarray, reach: float) -> np.ndarray:
    offsets = np.arange(0.0, reach + STEP_PX / 2, STEP_PX)
    places = points[:, None, :] + offsets[None, :, None] * direction[:, None, :]
    # NaN outside the picture: a vessel that leaves it has no wall there.
    samples = map_coordinates(probability, places.transpose(2, 0, 1), order=1, mode="constant", cval=np.nan)
    lowest = np.minimum.accumulate(np.nan_to_num(samples, nan=2.0), axis=1)
    left = (lowest < BACKGROUND) | ((lowest < EDGE) & (samples > lowest + RISE))
    ended = left.any(axis=1)
    outside_picture = np.isnan(samples)
    last = np.where(ended, left.argmax(axis=1), len(offsets) - 1)
    columns = np.arange(len(offsets))[None, :]
    # The picture's border may cut off the tail of an edge, but not the lumen.
    cut = (outside_picture & (columns <= last[:, None])).any(axis=1)
    seen_low = np.where(outside_picture, 2.0, samples).min(axis=1) < EDGE
    inside = (columns <= last[:, None]) & ~outside_picture
    weights = np.where(columns == 0, 0.5, 1.0) * inside
    width = (np.where(outside_picture, 0.0, samples) * weights).sum(axis=1) * STEP_PX
    return np.where((ended & ~cut) | (cut & seen_low), width, np.nan)


def in_lumen(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Say whether the probability reaches one half within a pixel of each point, (N,) bool."""
    offsets = np.linspace(-NEAR_PX, NEAR_PX, 9)
    places = points[:, None, :] + offsets[None, :, None] * across[:, None, :]
    return (map_coordinates(probability, places.transpose(2, 0, 1), order=1) >= EDGE).any(axis=1)


def clearance(walls: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distance (N,) from each point to the nearest of the walls (M, 2), NaN without any."""
    walls = walls[np.isfinite(walls).all(axis=1)]
    return cKDTree(walls).query(points)[0] if len(walls) else np.full(len(points), np.nan)
