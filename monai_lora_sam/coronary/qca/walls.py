"""Walls of a vessel on lines across its centreline, read from a probability map."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

EDGE = 0.5  # probability above which a sample is lumen
BACKGROUND = 0.05  # probability below which a line has left the vessel for good
RISE = 0.05  # probability; where it climbs by more again, further out, a neighbour begins
NEAR_PX = 1.0  # distance of the lumen from its line, at most
RIDGE_PX = 2.0  # distance of a thin lumen's ridge from its line, at most
STEP_PX = 0.25  # between two samples across the vessel
# Half-lengths of the line across; a longer one is taken only where the wall was not met.
REACHES_PX = (4.0, 8.0, 16.0, 32.0, 64.0)


def half_widths(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the distance from each point to the lumen's wall on either side, (2, N) in pixels and fractions.

    The probability (bilinear) is integrated along the line, outwards from the centreline until it has left the
    vessel. Blurring or drawing on a grid moves the level 0.5 inwards in a vessel as thin as the
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
        for side, sign in zip(sides, (-1.0, 1.0), strict=True):
            open_ = np.flatnonzero(np.isnan(side))
            if len(open_):
                side[open_] = _reach_of(probability, points[open_], sign * across[open_], reach)
    sides[:, np.isnan(sides).any(axis=0)] = np.nan
    return sides + np.stack([-offset, offset])


def _ridge_offsets(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the distance from each point to the highest probability across, (N,); 0 where the point lies in the lumen.

    Seen from beside a lumen that is thinner than the blur, its own ridge would look like a neighbour.
    """
    offsets = np.arange(-RIDGE_PX, RIDGE_PX + STEP_PX / 2, STEP_PX)
    offset = np.zeros(len(points))
    beside = np.flatnonzero(map_coordinates(probability, points.T, order=1) < EDGE)
    samples = _samples(probability, points[beside], across[beside], offsets)
    offset[beside] = offsets[samples.argmax(axis=1)]
    return offset


def _samples(
    probability: np.ndarray,
    points: np.ndarray,
    direction: np.ndarray,
    offsets: np.ndarray,
    outside: float = 0.0,
) -> np.ndarray:
    """Read a map at offsets (T,) from each point along its direction, (N, T); `outside` beyond the picture."""
    places = points[:, None, :] + offsets[None, :, None] * direction[:, None, :]
    return map_coordinates(probability, places.transpose(2, 0, 1), order=1, mode="constant", cval=outside)


def _reach_of(probability: np.ndarray, points: np.ndarray, direction: np.ndarray, reach: float) -> np.ndarray:
    """Return the integral of the probability (N,) along lines of one length; NaN where no wall was met."""
    offsets = np.arange(0.0, reach + STEP_PX / 2, STEP_PX)
    # NaN outside the picture: a vessel that leaves it has no wall there.
    samples = _samples(probability, points, direction, offsets, outside=np.nan)
    outside = np.isnan(samples)
    left = _left_vessel(samples)
    ended = left.any(axis=1)
    last = np.where(ended, left.argmax(axis=1), len(offsets) - 1)
    until_wall = np.arange(len(offsets)) <= last[:, None]
    # The picture's border may cut off the tail of an edge, but not the lumen.
    cut = (outside & until_wall).any(axis=1)
    seen_low = np.where(outside, 2.0, samples).min(axis=1) < EDGE
    width = _integral(np.where(outside, 0.0, samples), until_wall & ~outside)
    return np.where((ended & ~cut) | (cut & seen_low), width, np.nan)


def _left_vessel(samples: np.ndarray) -> np.ndarray:
    """Say where lines (N, T) have left their vessel: for the background, or for a neighbour."""
    lowest = np.minimum.accumulate(np.nan_to_num(samples, nan=2.0), axis=1)
    return (lowest < BACKGROUND) | ((lowest < EDGE) & (samples > lowest + RISE))


def _integral(samples: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the integral over the samples inside, (N,) in px; half of the first one lies on the other side."""
    weights = np.where(np.arange(samples.shape[1]) == 0, 0.5, 1.0) * inside
    return (samples * weights).sum(axis=1) * STEP_PX


def in_lumen(probability: np.ndarray, points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Say whether the probability reaches one half within a pixel of each point, (N,) bool."""
    offsets = np.linspace(-NEAR_PX, NEAR_PX, 9)
    highest: np.ndarray = _samples(probability, points, across, offsets).max(axis=1)
    return highest >= EDGE


def clearance(walls: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distance (N,) from each point to the nearest of the walls (M, 2), NaN without any."""
    walls = walls[np.isfinite(walls).all(axis=1)]
    return cKDTree(walls).query(points)[0] if len(walls) else np.full(len(points), np.nan)
