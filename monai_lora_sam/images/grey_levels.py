"""Scale stored grey levels to 0 to 1."""

from __future__ import annotations

import numpy as np

# Images of more than 8 bits are scaled between these percentiles: a hot pixel or a black border must not decide
# the contrast of the rest.
WINDOW_PERCENTILES = (0.1, 99.9)


def to_unit(grey: np.ndarray, eight_bit: bool, window: tuple[float, float] | None = None) -> np.ndarray:
    """Scale pixels to 0..1: divide 8-bit by 255, keep floats within 0..1, scale others by the robust window.

    Args:
        grey: pixels of any shape and numeric type.
        eight_bit: the values are 0 to 255, of any type.
        window: grey levels that become 0 and 1; None takes the `WINDOW_PERCENTILES` of these pixels.

    Raises:
        ValueError: for NaN or infinite pixels.
    """
    finite = np.isfinite(grey)
    if not finite.all():
        raise ValueError(f"expected finite pixels, found {int((~finite).sum())} NaN or infinite ones")
    if eight_bit:
        return (grey / np.float32(255)).astype(np.float32)
    if np.issubdtype(grey.dtype, np.floating) and grey.min() >= 0 and grey.max() <= 1:
        return grey.astype(np.float32)
    low, high = window or np.percentile(grey, WINDOW_PERCENTILES)
    if high <= low:
        return np.zeros(grey.shape, dtype=np.float32)
    return np.clip((grey - low) / (high - low), 0.0, 1.0).astype(np.float32)
