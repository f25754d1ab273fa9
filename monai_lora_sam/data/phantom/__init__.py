"""Synthetic coronary angiograms with exact truth."""

from __future__ import annotations

from monai_lora_sam.data.phantom.dataset import prepare_phantoms
from monai_lora_sam.data.phantom.phantom import Centreline, Lesion, Phantom, PhantomConfig, generate_phantom

__all__ = ["Centreline", "Lesion", "Phantom", "PhantomConfig", "generate_phantom", "prepare_phantoms"]
