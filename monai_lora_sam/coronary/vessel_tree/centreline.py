"""Smooth, equally spaced centrelines from staircase pixel paths."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import splev, splprep

SPACING_PX = 0.5
# Root mean square distance, in pixels, that the spline may keep from the pixel centres. A digitised line
# alone is off by 0.29.
TOLERANCE_PX = 0.4
END_WEIGHT = 10.0


def smooth_centreline(path: np.ndarray, closed: bool = False) -> tuple[np.ndarray, float]:
    """Fit a smoothing spline to a pixel path and resample it at half a pixel.

    Args:
        path: (N, 2) row and column, N >= 2; of a closed loop the last point equals the first.
        closed: whether the curve closes smoothly.

    Returns:
        The points (M, 2), equally spaced, and the length in pixels.
    """
    apart = np.r_[True, np.linalg.norm(np.diff(path, axis=0), axis=1) > 1e-9]
    path = path[apart]
    order = min(3, len(path) - 1)
    if order < 1:
        return path, 0.0
    weights = np.ones(len(path))
    if not closed:
        weights[[0, -1]] = END_WEIGHT  # branches that share a node must still meet there
    spline, _ = splprep(path.T, w=weights, k=order, s=len(path) * TOLERANCE_PX**2, per=int(closed))
    fine = np.column_stack(splev(np.linspace(0, 1, 8 * len(path) + 1), spline))
    arc = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))]
    wanted = np.linspace(0.0, arc[-1], max(2, round(arc[-1] / SPACING_PX) + 1))
    points = np.column_stack([np.interp(wanted, arc, fine[:, axis]) for axis in (0, 1)])
    return points, float(arc[-1])
