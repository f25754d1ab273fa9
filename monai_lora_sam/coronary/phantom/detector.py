"""From attenuation to the grey levels of an 8-bit picture: photons, blur, noise, display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter


def expose(
    rng: np.random.Generator,
    attenuation: np.ndarray,
    passed: np.ndarray,
    blur_px: float,
    photons: float,
    detector_blur_px: float | None = None,
) -> np.ndarray:
    """Return (H, W) the detector's signal, relative to the unattenuated beam.

    Beer-Lambert: intensity = exp(−attenuation); then the focal spot's blur, Poisson noise of the given mean
    number of photons per pixel, and the detector's own small blur, which correlates the noise; that is drawn
    at random when it is not given.
    """
    intensity = np.exp(-attenuation) * (0.02 + 0.98 * passed)
    intensity = gaussian_filter(intensity, blur_px)
    level = photons / float(intensity.mean())
    noisy = rng.poisson(np.maximum(intensity * level, 0.0)).astype(np.float32) / level
    return gaussian_filter(noisy, rng.uniform(0.3, 0.8) if detector_blur_px is None else detector_blur_px)


@dataclass(frozen=True)
class Display:
    """Display of a system's signal: edge enhancement, window, gamma, shutter."""

    enhancement: float
    enhancement_px: float
    dark: float
    bright: float
    middle: float
    shutter: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Display:
        """Draw a display at random."""
        enhancement, enhancement_px = 0.0, 1.0
        if rng.random() < 0.6:  # the enhancement every angiography system applies before display
            enhancement, enhancement_px = rng.uniform(0.2, 1.2), rng.uniform(2.0, 12.0)
        dark, bright = rng.uniform(5, 70), rng.uniform(150, 250)
        middle = rng.uniform(0.40, 0.68)  # where the median grey falls between dark and bright
        shutter = rng.uniform(0.0, 0.7) if rng.random() < 0.5 else 0.0
        return cls(enhancement, enhancement_px, dark, bright, middle, shutter)

    def grey(self, signal: np.ndarray) -> np.ndarray:
        """Return (H, W) the signal's logarithm, its edges enhanced."""
        grey = np.log(np.maximum(signal, 2e-3))
        if self.enhancement:
            grey = grey + self.enhancement * (grey - gaussian_filter(grey, self.enhancement_px))
        return grey

    def window(self, grey: np.ndarray, passed: np.ndarray) -> tuple[float, float, float]:
        """Return the low, middle and high grey that the picture's window is set to."""
        seen = grey[passed > 0.9]
        low, middle, high = np.percentile(seen if seen.size else grey, [0.5, 50.0, 99.5])
        return float(low), float(middle), float(high)

    def show(
        self, signal: np.ndarray, passed: np.ndarray, window: tuple[float, float, float] | None = None
    ) -> np.ndarray:
        """Return (H, W) uint8; the window is this picture's own unless one is given."""
        grey = self.grey(signal)
        low, middle, high = window or self.window(grey, passed)
        scaled = (grey - low) / max(high - low, 1e-6)
        place = np.clip((middle - low) / max(high - low, 1e-6), 0.15, 0.9)
        gamma = np.clip(np.log(self.middle) / np.log(place), 0.6, 1.7)
        shown = np.sign(scaled) * np.abs(scaled) ** gamma
        levels = self.dark + shown * (self.bright - self.dark)
        levels = levels * np.maximum(passed, self.shutter * (passed > 1e-3))
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
