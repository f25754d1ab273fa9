"""A vessel laid out straight, for a network that reads its diameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

SAMPLES = 8  # to the vessel's usual width, along and across
REACH = 2.0  # widths to either side of the midline
LEAST_WIDTH_PX = 2.0
OUTER = 1.2  # widths from the midline, beyond which there is background
INNER = 0.2  # and within which there is lumen
CLIP = 4.0  # of the vessel's usual contrast


@dataclass(frozen=True, eq=False)
class Strip:
    """Hold a vessel laid out straight.

    Attributes:
        values: (3, L, T) float32: the grey value, background about 0 and the vessel about -1; the vessel's
            probability; the logarithm of its usual width in pixels, everywhere the same.
        at: (L,) which point of the vessel's line each row lies at, in fractions of one.
        width_px: its usual width: rows and columns lie an eighth of it apart.
    """

    values: np.ndarray
    at: np.ndarray
    width_px: float

    def to_points(self, along: np.ndarray, count: int) -> np.ndarray:
        """Return what is known of each row (L,) at each of the `count` points of the vessel's line."""
        return np.interp(np.arange(count), self.at, along)


def straighten(
    image: np.ndarray,
    probability: np.ndarray,
    points: np.ndarray,
    across: np.ndarray,
    width_px: np.ndarray,
    trusted: np.ndarray,
) -> Strip:
    """Lay a vessel out straight, in steps of an eighth of its usual width.

    Lengths in units of the vessel's width make thin and wide vessels look alike.

    Args:
        image: (H, W), contrast agent dark.
        probability: (H, W), 0..1.
        points, across: (N, 2) midline and unit vectors across it.
        width_px: (N,) what the probability says.
        trusted: (N,) bool, where that is the width of this vessel alone; somewhere at least.
    """
    width = max(float(np.median(width_px[trusted])), LEAST_WIDTH_PX)
    step = width / SAMPLES
    arc = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    wanted = np.arange(0.0, arc[-1] + step, step)
    at = np.interp(wanted, arc, np.arange(len(points)))
    line, normals = (
        np.column_stack([np.interp(at, np.arange(len(points)), one[:, axis]) for axis in (0, 1)])
        for one in (points, across)
    )
    offsets = np.arange(-round(REACH * SAMPLES), round(REACH * SAMPLES) + 1) * step
    places = line[:, None] + offsets[None, :, None] * normals[:, None]
    low = np.maximum(np.floor(places.min(axis=(0, 1))).astype(int) - 8, 0)
    high = np.maximum(np.ceil(places.max(axis=(0, 1))).astype(int) + 9, low + 2)
    box = slice(low[0], high[0]), slice(low[1], high[1])
    places = (places - low).transpose(2, 0, 1)
    sigma = 0.5 * np.sqrt(
        max(step**2 - 1, 0.0)
    )  # samples more than a pixel apart stand for what lies between
    grey, chance = (
        map_coordinates(gaussian_filter(one[box].astype(np.float32), sigma), places, order=1, mode="nearest")
        for one in (image, probability)
    )
    sure = np.interp(at, np.arange(len(points)), trusted.astype(float)) > 0.5
    sure = sure if sure.any() else np.ones(len(at), dtype=bool)
    outside = float(np.median(grey[sure][:, np.abs(offsets) > OUTER * width]))
    contrast = outside - float(np.median(grey[sure][:, np.abs(offsets) < INNER * width]))
    grey = np.clip((grey - outside) / max(contrast, 1e-3), -CLIP, CLIP)
    values = np.stack([grey, chance, np.full_like(grey, np.log(width))]).astype(np.float32)
    return Strip(values, at, width)
