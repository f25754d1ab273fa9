"""Diameters along the vessels of an angiogram, read by a network."""

from __future__ import annotations

import numpy as np
import torch

from monai_lora_sam.coronary.networks import LumenGauge
from monai_lora_sam.coronary.pipeline.strips import straighten
from monai_lora_sam.coronary.qca import LumenFinder

# Standard deviation of a narrow lumen's diameter, so that intervals hold the truth on phantoms (docs/qca.md).
GAUGE_ERROR_PX = 0.9


def gauge_finder(gauge: LumenGauge, probability: np.ndarray) -> LumenFinder:
    """Return what :func:`monai_lora_sam.coronary.qca.measure` reads the lumen by.

    Args:
        gauge: runs on the device that it is on.
        probability: (H, W) vessel probability of the picture that will be measured.

    Example:
        >>> measure(probability, image=image, find_lumen=gauge_finder(gauge, probability))  # doctest: +SKIP
    """
    device = next(gauge.parameters()).device

    def find(
        image: np.ndarray, points: np.ndarray, across: np.ndarray, width_px: np.ndarray, trusted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        strip = straighten(image, probability, points, across, width_px, trusted)
        with torch.inference_mode():
            read = gauge(torch.from_numpy(strip.values)[None].to(device))[0].cpu().numpy()
        diameter, offset = (strip.to_points(one, len(points)) * strip.width_px for one in read)
        return diameter, offset, GAUGE_ERROR_PX

    return find
