"""Coronary stages that come with the package, and saving and loading of the lumen networks."""

from monai_lora_sam.coronary.stages.lumen_networks import (
    load_diameter_network,
    load_lumen_refiner,
    save_lumen_network,
)
from monai_lora_sam.coronary.stages.shipped import SHIPPED, SHIPPED_DIAMETER_NETWORK, SHIPPED_REFINER

__all__ = [
    "SHIPPED",
    "SHIPPED_DIAMETER_NETWORK",
    "SHIPPED_REFINER",
    "load_diameter_network",
    "load_lumen_refiner",
    "save_lumen_network",
]
