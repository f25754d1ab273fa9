"""Angiograms, cines and labels read from files: PNG, JPEG, TIFF, NIfTI, DICOM. No torch."""

from monai_lora_sam.images.angiogram import Angiogram
from monai_lora_sam.images.cine import ANGIOGRAPHY_MODALITIES, Cine, CineFrames, read_cine
from monai_lora_sam.images.dicom_acquisition import SPACING_SOURCES, PixelSpacing
from monai_lora_sam.images.dicom_files import DICOM_DIRECTORY, read_dataset
from monai_lora_sam.images.image_files import detect_format, is_image_name
from monai_lora_sam.images.read_angiogram import read_angiogram
from monai_lora_sam.images.read_label import read_label

__all__ = [
    "ANGIOGRAPHY_MODALITIES",
    "DICOM_DIRECTORY",
    "SPACING_SOURCES",
    "Angiogram",
    "Cine",
    "CineFrames",
    "PixelSpacing",
    "detect_format",
    "is_image_name",
    "read_angiogram",
    "read_cine",
    "read_dataset",
    "read_label",
]
