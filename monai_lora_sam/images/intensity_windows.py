"""Scale stored intensities of CT and MR to 0 to 1, by a window or by percentiles."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from skimage.exposure import rescale_intensity

#: Percentiles of the voxels other than 0 that become 0 and 1 in images without a fixed unit (MedSAM's choice).
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
#: Name of a CT window → level and width in Hounsfield units, as MedSAM's preprocessing has them; the lung's is the
#: radiologists' usual one.
CT_WINDOWS = MappingProxyType(
    {
        "ct_abdomen": (40.0, 400.0),
        "ct_lung": (-600.0, 1500.0),
        "ct_bone": (400.0, 1800.0),
        "ct_brain": (40.0, 80.0),
    }
)
#: Names that :func:`to_unit_by_preset` knows.
INTENSITY_PRESETS = (*CT_WINDOWS, "percentiles")


def to_unit_by_window(pixels: np.ndarray, level: float, width: float) -> np.ndarray:
    """Scale intensities so that the window's ends become 0 and 1, and clip there.

    Args:
        pixels: of any shape and numeric type, in the unit of the window.
        level: middle of the window.
        width: distance between its ends, above 0.

    Returns:
        float32 in 0..1 of the same shape; zeros for a constant image.

    Raises:
        ValueError: NaN or infinite pixels, no pixel at all, or a window that is not finite or not wide.

    Example:
        >>> to_unit_by_window(np.array([-160, 40, 240]), level=40, width=400)
        array([0. , 0.5, 1. ], dtype=float32)
    """
    _check_window(level, width)
    return _rescaled(_finite(pixels), level - width / 2, level + width / 2)


def to_unit_by_percentiles(
    pixels: np.ndarray, low: float = LOW_PERCENTILE, high: float = HIGH_PERCENTILE
) -> np.ndarray:
    """Scale intensities so that two percentiles of the voxels other than 0 become 0 and 1, and clip there.

    Zeros are background in MR and ultrasound: they count for no percentile and stay 0.

    Args:
        pixels: of any shape and numeric type.
        low: percentile that becomes 0.
        high: percentile that becomes 1.

    Returns:
        float32 in 0..1 of the same shape; zeros for a constant image.

    Raises:
        ValueError: NaN or infinite pixels, no pixel at all, or percentiles that do not rise from 0 to 100.

    Example:
        >>> to_unit_by_percentiles(np.array([0, 10, 15, 20]), low=0, high=100)
        array([0. , 0. , 0.5, 1. ], dtype=float32)
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"expected percentiles with 0 <= low < high <= 100, found {low} and {high}")
    pixels = _finite(pixels)
    inside = pixels != 0
    if not inside.any():
        return np.zeros(pixels.shape, np.float32)
    ends = np.percentile(pixels[inside], (low, high))
    return np.where(inside, _rescaled(pixels, *ends), np.float32(0))


def parse_window(window: str) -> tuple[float, float] | None:
    """Return level and width of a window that is given as text; None where it is "percentiles".

    Args:
        window: a name of `INTENSITY_PRESETS`, or level and width as "40,400".

    Raises:
        ValueError: an unknown name, or numbers that are no window.

    Example:
        >>> parse_window("ct_brain"), parse_window("40,80"), parse_window("percentiles")
        ((40.0, 80.0), (40.0, 80.0), None)
    """
    if window in INTENSITY_PRESETS:
        return CT_WINDOWS.get(window)
    try:
        level, width = map(float, window.split(","))
    except ValueError:
        raise ValueError(
            f"window: expected LEVEL,WIDTH or a preset out of {', '.join(INTENSITY_PRESETS)}, found {window!r}"
        ) from None
    _check_window(level, width)
    return level, width


def to_unit_by_preset(pixels: np.ndarray, preset: str) -> np.ndarray:
    """Scale intensities to 0..1 by a name of `INTENSITY_PRESETS`, or by level and width as "40,400".

    Raises:
        ValueError: an unknown name, or NaN or infinite pixels.

    Example:
        >>> to_unit_by_preset(np.array([-160, 40, 240]), "ct_abdomen")
        array([0. , 0.5, 1. ], dtype=float32)
    """
    window = parse_window(preset)
    return to_unit_by_percentiles(pixels) if window is None else to_unit_by_window(pixels, *window)


def _check_window(level: float, width: float) -> None:
    if not (np.isfinite(level) and np.isfinite(width) and width > 0):
        raise ValueError(f"expected a finite level and a width above 0, found level {level}, width {width}")


def _finite(pixels: np.ndarray) -> np.ndarray:
    pixels = np.asarray(pixels)
    if not pixels.size:
        raise ValueError(f"expected pixels, found an empty array of shape {pixels.shape}")
    if not np.issubdtype(pixels.dtype, np.number) or np.iscomplexobj(pixels):
        raise ValueError(f"expected real numbers, found {pixels.dtype}")
    outside = int((~np.isfinite(pixels)).sum())
    if outside:
        raise ValueError(f"expected finite pixels, found {outside} NaN or infinite ones")
    return pixels


def _rescaled(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    if pixels.min() == pixels.max() or high <= low:
        return np.zeros(pixels.shape, np.float32)
    # float32 first: integers of 16 bits are exact in it, and a volume takes half the memory of float64.
    return rescale_intensity(pixels.astype(np.float32), (low, high), (0.0, 1.0)).astype(np.float32)
