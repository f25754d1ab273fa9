"""Find copies of one image by its pixels."""

from __future__ import annotations

import hashlib

import numpy as np


def pixel_hash(pixels: np.ndarray) -> str:
    """Return a hash of grey pixels and their shape: equal for copies, whatever file they are stored in.

    Args:
        pixels: (H, W) in 0..1, as `read_angiogram` gives them (grey and grey repeated in RGB are the same).
    """
    # Eight bits: a copy saved as 8-bit PNG and one saved as float differ by less than half a grey level.
    grey = np.round(np.asarray(pixels, dtype=np.float64) * 255).astype(np.uint8)
    return hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()
