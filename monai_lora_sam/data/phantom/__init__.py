"""Synthetic coronary angiograms and cines with exact truth."""

from __future__ import annotations

from monai_lora_sam.data.phantom.cine import CineFrame, PhantomCine, generate_cine
from monai_lora_sam.data.phantom.dataset import prepare_phantoms
from monai_lora_sam.data.phantom.dicom import prepare_cines, write_phantom_dicom
from monai_lora_sam.data.phantom.phantom import (
    MEASUREMENT_CONFIG,
    Centreline,
    Lesion,
    Phantom,
    PhantomConfig,
    generate_phantom,
)

__all__ = [
    "MEASUREMENT_CONFIG",
    "Centreline",
    "CineFrame",
    "Lesion",
    "Phantom",
    "PhantomCine",
    "PhantomConfig",
    "generate_cine",
    "generate_phantom",
    "prepare_cines",
    "prepare_phantoms",
    "write_phantom_dicom",
]
