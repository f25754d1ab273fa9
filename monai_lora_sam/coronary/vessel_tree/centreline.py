"""Smooth, equally spaced centrelines from staircase pixel paths."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import splev, splprep

from monai_lora_sam.coronary.polyline import Polyline

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
    line = Polyline(fine, closed)
    return line.resample(SPACING_PX).points, line.length
