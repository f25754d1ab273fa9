"""Read angiograms and X-ray cines from files. No torch."""

from monai_lora_sam.coronary.images.angiogram import Angiogram
from monai_lora_sam.coronary.images.cine import ANGIOGRAPHY_MODALITIES, Cine, read_cine
from monai_lora_sam.coronary.images.dicom_acquisition import SPACING_SOURCES, PixelSpacing
from monai_lora_sam.coronary.images.read_angiogram import read_angiogram
from monai_lora_sam.coronary.images.vessel_mask import read_vessel_mask

__all__ = [
    "ANGIOGRAPHY_MODALITIES",
    "Angiogram",
    "Cine",
    "PixelSpacing",
    "SPACING_SOURCES",
    "read_angiogram",
    "read_cine",
    "read_vessel_mask",
]
