"""Read diameters along the vessels of an angiogram by a network."""

from __future__ import annotations

import numpy as np
import torch

from monai_lora_sam.coronary.networks import DiameterNetwork
from monai_lora_sam.coronary.pipeline.straightened_vessel import straighten_vessel
from monai_lora_sam.coronary.qca import LumenFinder

# Standard deviation in px of a narrow lumen's diameter, so that intervals hold the truth on phantoms (docs/qca.md).
DIAMETER_ERROR_PX = 0.9


def diameter_finder(network: DiameterNetwork, probability: np.ndarray) -> LumenFinder:
    """Return a function by which :func:`monai_lora_sam.coronary.qca.measure` reads the lumen.

    Args:
        network: runs on the device that it is on.
        probability: (H, W) vessel probability of the picture that will be measured.

    Example:
        >>> find_lumen = diameter_finder(load_diameter_network(), probability)  # doctest: +SKIP
        >>> measure(probability, image=image, find_lumen=find_lumen)  # doctest: +SKIP
    """
    device = next(network.parameters()).device

    def find(
        image: np.ndarray, points: np.ndarray, across: np.ndarray, width_px: np.ndarray, trusted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        vessel = straighten_vessel(image, probability, points, across, width_px, trusted)
        with torch.inference_mode():
            read = network(torch.from_numpy(vessel.values)[None].to(device))[0].cpu().numpy()
        diameter, offset = (vessel.to_points(row, len(points)) * vessel.width_px for row in read)
        return diameter, offset, DIAMETER_ERROR_PX

    return find
