"""Synthetic coronary angiograms and cines with exact truth."""

from monai_lora_sam.coronary.phantom.cine import CineFrame, PhantomCine, generate_cine
from monai_lora_sam.coronary.phantom.dataset import prepare_phantoms
from monai_lora_sam.coronary.phantom.dicom import prepare_cines, write_phantom_dicom
from monai_lora_sam.coronary.phantom.implants import IMPLANTS, draw_implants
from monai_lora_sam.coronary.phantom.phantom import (
    MEASUREMENT_CONFIG,
    Centreline,
    Lesion,
    Phantom,
    PhantomConfig,
    generate_phantom,
)

__all__ = [
    "Centreline",
    "CineFrame",
    "IMPLANTS",
    "Lesion",
    "MEASUREMENT_CONFIG",
    "Phantom",
    "PhantomCine",
    "PhantomConfig",
    "draw_implants",
    "generate_cine",
    "generate_phantom",
    "prepare_cines",
    "prepare_phantoms",
    "write_phantom_dicom",
]
