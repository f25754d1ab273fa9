"""Data from which the refiner of the vessel map and the diameter network learn: phantoms with exact truth."""

from monai_lora_sam.coronary.lumen_training.keep_near import KeepNeard
from monai_lora_sam.coronary.lumen_training.map_augmentation import map_augmentation
from monai_lora_sam.coronary.lumen_training.map_dataset import MapCrops, WholeMaps
from monai_lora_sam.coronary.lumen_training.measured_vessel import (
    MeasuredVessel,
    measure_vessels,
    read_vessels,
    write_vessels,
)
from monai_lora_sam.coronary.lumen_training.prepare_maps import prepare_maps
from monai_lora_sam.coronary.lumen_training.prepare_vessels import prepare_vessels
from monai_lora_sam.coronary.lumen_training.true_diameters import TrueDiameters
from monai_lora_sam.coronary.lumen_training.vessel_dataset import VesselCrops, WholeVessels

__all__ = [
    "KeepNeard",
    "MapCrops",
    "MeasuredVessel",
    "TrueDiameters",
    "VesselCrops",
    "WholeMaps",
    "WholeVessels",
    "map_augmentation",
    "measure_vessels",
    "prepare_maps",
    "prepare_vessels",
    "read_vessels",
    "write_vessels",
]
