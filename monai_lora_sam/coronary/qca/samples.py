"""Equally spaced samples along a centreline: stretches of true flags, smoothing, filling."""

from __future__ import annotations

import numpy as np


def stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return (begin, end) of each stretch of true flags (N,), the end excluded.

    Example:
        >>> stretches(np.array([True, True, False, True]))
        [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def smooth(values: np.ndarray, valid: np.ndarray, sigma: float) -> np.ndarray:
    """Fit a quadratic around each of equally spaced samples and return its value there, (N,).

    Weights are Gaussian, with a standard deviation of `sigma` samples. A quadratic keeps the depth of a
    narrowing, which a moving average would fill. Samples that are not valid have no weight; where fewer than four
    have any, the result is NaN.
    """
    reach = int(np.ceil(3 * sigma))
    offsets = np.arange(-reach, reach + 1, dtype=float)
    scaled = offsets / max(sigma, 1e-9)
    kernel = np.exp(-0.5 * scaled**2)
    weight = valid.astype(float)
    filled = np.where(valid, values, 0.0)

    def along(signal: np.ndarray, power: int) -> np.ndarray:
        # Reversed, since convolve turns the kernel round.
        return np.convolve(np.pad(signal, reach), (kernel * scaled**power)[::-1], mode="valid")

    moments = [along(weight, power) for power in range(5)]
    right = np.stack([along(filled, power) for power in range(3)], axis=-1)
    left = np.stack([np.stack([moments[i + j] for j in range(3)], -1) for i in range(3)], -2)
    left = left + 1e-6 * np.eye(3) * np.maximum(moments[0], 1e-6)[:, None, None]
    fitted = np.linalg.solve(left, right[..., None])[:, 0, 0]
    count = np.convolve(np.pad(weight, reach), np.ones(2 * reach + 1), mode="valid")
    return np.where(count >= 4, fitted, np.nan)


def fill(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Interpolate linearly over samples that are not valid; all NaN where none is valid."""
    known = np.flatnonzero(valid)
    if not len(known):
        return np.full(len(values), np.nan)
    return np.interp(np.arange(len(values)), known, values[known])
