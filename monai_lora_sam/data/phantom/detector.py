"""From attenuation to the grey levels of an 8-bit picture: photons, blur, noise, display."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def expose(
    rng: np.random.Generator, attenuation: np.ndarray, passed: np.ndarray, blur_px: float, photons: float
) -> np.ndarray:
    """Return (H, W) the detector's signal, relative to the unattenuated beam.

    Beer-Lambert: intensity = exp(−attenuation); then the focal spot's blur, Poisson noise of the given mean
    number of photons per pixel, and the detector's own small blur, which correlates the noise.
    """
    intensity = np.exp(-attenuation) * (0.02 + 0.98 * passed)
    intensity = gaussian_filter(intensity, blur_px)
    level = photons / float(intensity.mean())
    noisy = rng.poisson(np.maximum(intensity * level, 0.0)).astype(np.float32) / level
    return gaussian_filter(noisy, rng.uniform(0.3, 0.8))


def display(rng: np.random.Generator, signal: np.ndarray, passed: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8: the signal's logarithm, edge enhancement, window, gamma."""
    grey = np.log(np.maximum(signal, 2e-3))
    if rng.random() < 0.6:  # the enhancement every angiography system applies before display
        grey = grey + rng.uniform(0.2, 1.2) * (grey - gaussian_filter(grey, rng.uniform(2.0, 12.0)))
    seen = grey[passed > 0.9]
    low, middle, high = np.percentile(seen if seen.size else grey, [0.5, 50.0, 99.5])
    dark, bright = rng.uniform(5, 70), rng.uniform(150, 250)
    scaled = (grey - low) / max(high - low, 1e-6)
    target = rng.uniform(0.40, 0.68)  # where the median grey falls between dark and bright
    place = np.clip((middle - low) / max(high - low, 1e-6), 0.15, 0.9)
    gamma = np.clip(np.log(target) / np.log(place), 0.6, 1.7)
    shown = np.sign(scaled) * np.abs(scaled) ** gamma
    levels = dark + shown * (bright - dark)
    shutter = rng.uniform(0.0, 0.7) if rng.random() < 0.5 else 0.0
    levels = levels * np.maximum(passed, shutter * (passed > 1e-3))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
