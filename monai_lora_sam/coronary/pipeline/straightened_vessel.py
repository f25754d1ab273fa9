"""Straighten a vessel for the network that reads its diameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from monai_lora_sam.coronary.polyline import Polyline

SAMPLES = 8  # samples to the vessel's usual width, along and across
REACH = 2.0  # reach of the columns to either side of the midline, in widths
LEAST_WIDTH_PX = 2.0  # least usual width in px: a step is then a quarter of a pixel
OUTER = 1.2  # distance from the midline, in widths, beyond which samples are background
INNER = 0.2  # distance from the midline, in widths, within which samples are lumen
CLIP = 4.0  # largest grey value, in units of the vessel's usual contrast


@dataclass(frozen=True, eq=False)
class StraightenedVessel:
    """Hold a vessel resampled along its midline: rows along it, columns across it.

    Attributes:
        values: (3, L, T) float32: the grey value, background about 0 and the vessel about -1; the vessel's
            probability; the logarithm of its usual width in pixels, everywhere the same.
        at: (L,) index of the midline's point at each row, with fractions.
        width_px: its usual width in pixels; rows and columns lie an eighth of it apart.
    """

    values: np.ndarray
    at: np.ndarray
    width_px: float

    def to_points(self, along: np.ndarray, count: int) -> np.ndarray:
        """Interpolate values of the rows (L,) at the `count` points of the midline."""
        return np.interp(np.arange(count), self.at, along)


def straighten_vessel(
    image: np.ndarray,
    probability: np.ndarray,
    points: np.ndarray,
    across: np.ndarray,
    width_px: np.ndarray,
    trusted: np.ndarray,
) -> StraightenedVessel:
    """Resample a vessel along its midline, in steps of an eighth of its usual width.

    Args:
        image: (H, W), contrast agent dark.
        probability: (H, W), 0..1.
        points, across: (N, 2) midline and unit vectors across it.
        width_px: (N,) width in pixels by the probability.
        trusted: (N,) bool, where that is the width of this vessel alone; at least one is true.

    Example:
        >>> line = np.column_stack([np.full(50, 20.0), np.arange(50.0)])
        >>> across, width = np.tile([1.0, 0.0], (50, 1)), np.full(50, 8.0)
        >>> picture = np.ones((40, 50))
        >>> straighten_vessel(picture, picture, line, across, width, width > 0).values.shape
        (3, 50, 33)
    """
    width = max(float(np.median(width_px[trusted])), LEAST_WIDTH_PX)
    step = width / SAMPLES
    arc = Polyline(points).arc_length
    wanted = np.arange(0.0, arc[-1] + step, step)
    at = np.interp(wanted, arc, np.arange(len(points)))
    line, normals = (
        np.column_stack([np.interp(at, np.arange(len(points)), vectors[:, axis]) for axis in (0, 1)])
        for vectors in (points, across)
    )
    offsets = np.arange(-round(REACH * SAMPLES), round(REACH * SAMPLES) + 1) * step
    places = line[:, None] + offsets[None, :, None] * normals[:, None]
    low = np.maximum(np.floor(places.min(axis=(0, 1))).astype(int) - 8, 0)
    high = np.maximum(np.ceil(places.max(axis=(0, 1))).astype(int) + 9, low + 2)
    box = slice(low[0], high[0]), slice(low[1], high[1])
    places = (places - low).transpose(2, 0, 1)
    # Samples more than a pixel apart stand for the mean of the pixels between them.
    sigma = 0.5 * np.sqrt(max(step**2 - 1, 0.0))
    grey, chance = (
        map_coordinates(
            gaussian_filter(picture[box].astype(np.float32), sigma), places, order=1, mode="nearest"
        )
        for picture in (image, probability)
    )
    sure = np.interp(at, np.arange(len(points)), trusted.astype(float)) > 0.5
    sure = sure if sure.any() else np.ones(len(at), dtype=bool)
    outside = float(np.median(grey[sure][:, np.abs(offsets) > OUTER * width]))
    contrast = outside - float(np.median(grey[sure][:, np.abs(offsets) < INNER * width]))
    grey = np.clip((grey - outside) / max(contrast, 1e-3), -CLIP, CLIP)
    values = np.stack([grey, chance, np.full_like(grey, np.log(width))]).astype(np.float32)
    return StraightenedVessel(values, at, width)
