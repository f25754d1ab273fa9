"""Coronary stages that come with the package, and the lumen networks on disk."""

from monai_lora_sam.coronary.stages.lumen_stage import (
    load_lumen_gauge,
    load_lumen_refiner,
    save_lumen_network,
)
from monai_lora_sam.coronary.stages.lumen_training import train_lumen_network, training_phantoms
from monai_lora_sam.coronary.stages.shipped import SHIPPED, SHIPPED_GAUGE, SHIPPED_LUMEN

__all__ = [
    "SHIPPED",
    "SHIPPED_GAUGE",
    "SHIPPED_LUMEN",
    "load_lumen_gauge",
    "load_lumen_refiner",
    "save_lumen_network",
    "train_lumen_network",
    "training_phantoms",
]
