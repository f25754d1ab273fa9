"""Read angiograms and X-ray cines from files. No torch."""

from monai_lora_sam.coronary.images.angiogram import Angiogram
from monai_lora_sam.coronary.images.cine import ANGIOGRAPHY_MODALITIES, Cine, read_cine
from monai_lora_sam.coronary.images.dicom_acquisition import (
    PLAUSIBLE_SPACING_MM,
    SPACING_SOURCES,
    PixelSpacing,
    implausible_spacing,
)
from monai_lora_sam.coronary.images.read_angiogram import read_angiogram
from monai_lora_sam.coronary.images.vessel_mask import read_vessel_mask

__all__ = [
    "ANGIOGRAPHY_MODALITIES",
    "Angiogram",
    "Cine",
    "PLAUSIBLE_SPACING_MM",
    "PixelSpacing",
    "SPACING_SOURCES",
    "implausible_spacing",
    "read_angiogram",
    "read_cine",
    "read_vessel_mask",
]
