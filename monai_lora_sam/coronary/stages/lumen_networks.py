"""Save and load the networks that find the lumen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.networks import DiameterNetwork, LumenRefiner
from monai_lora_sam.coronary.stages.shipped import SHIPPED_DIAMETER_NETWORK, SHIPPED_REFINER
from monai_lora_sam.stages import load_network, save_network

#: Tasks as cards name them.
TASKS = {LumenRefiner: "lumen", DiameterNetwork: "gauge"}


def save_lumen_network(
    network: LumenRefiner | DiameterNetwork,
    folder: str | Path,
    *,
    class_names: tuple[str, ...] = ("vessel",),
    modality: str = "XA",
    **more: Any,
) -> Path:
    """Write a refiner or a diameter network by :func:`monai_lora_sam.stages.save_network`, with the wing's defaults.

    Example:
        >>> save_lumen_network(LumenRefiner(), "models/refiner")  # doctest: +SKIP
    """
    task = TASKS[type(network)]
    return save_network(network, folder, task=task, class_names=class_names, modality=modality, **more)


def load_lumen_refiner(folder: str | Path = SHIPPED_REFINER, *, mixed_precision: bool = True) -> LumenRefiner:
    """Read a refiner by :func:`monai_lora_sam.stages.load_network`; by default the shipped one.

    Example:
        >>> refiner = load_lumen_refiner()  # doctest: +SKIP
    """
    return load_network(LumenRefiner, folder, task=TASKS[LumenRefiner], mixed_precision=mixed_precision)


def load_diameter_network(
    folder: str | Path = SHIPPED_DIAMETER_NETWORK, *, mixed_precision: bool = True
) -> DiameterNetwork:
    """Read a diameter network by :func:`monai_lora_sam.stages.load_network`; by default the shipped one.

    Example:
        >>> network = load_diameter_network()  # doctest: +SKIP
    """
    task = TASKS[DiameterNetwork]
    return load_network(DiameterNetwork, folder, task=task, mixed_precision=mixed_precision)
