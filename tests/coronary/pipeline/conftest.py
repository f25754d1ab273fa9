"""A small network, a picture, and a drawn vessel with the outputs of ideal networks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.coronary.pipeline import StageOutputs
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import AdaptedSegmenter, build_segmenter


@pytest.fixture(scope="module")
def network() -> AdaptedSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_segmenter(
            build_encoder("tiny", image_size=56),
            "view_segmentation",
            name="vessels",
            width=8,
            mixed_precision=False,
        )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A bright field with one dark vertical vessel, taller than wide."""
    pixels = np.full((72, 54), 180, np.uint8)
    pixels[6:66, 24:28] = 60
    path = tmp_path / "vessel.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def drawn() -> SimpleNamespace:
    """A vessel of 12 px across a square of 168, narrowed to 5 px at column 84, with the outputs of ideal networks.

    6 LAD proximal to the left of column 112, 7 LAD mid to its right. One detection at the stenosis.
    """
    rows, columns = np.mgrid[:168, :168].astype(np.float32)
    diameter = 12 - 7 * np.cos(np.clip((columns - 84) / 20, -1, 1) * np.pi / 2) ** 2
    distance = diameter / 2 - np.abs(rows - 80)
    inside = (columns >= 8) & (columns < 160)
    logits = np.where(inside, 4 * distance, -20.0).clip(-20, 20).astype(np.float32)
    classes = np.full((26, 168, 168), -10.0, np.float32)
    vessel = logits >= 0
    classes[0][~vessel] = 10.0
    classes[6][vessel & (columns < 112)] = 10.0
    classes[7][vessel & (columns >= 112)] = 10.0
    lesions = {
        "boxes": torch.tensor([[[66.0, 70.0, 103.0, 92.0]]]),
        "score": torch.tensor([[0.9]]),
        "percent_diameter_stenosis": torch.tensor([[50.0]]),
        "mld_px": torch.tensor([[6.0]]),
    }
    outputs = StageOutputs(torch.from_numpy(logits)[None, None], torch.from_numpy(classes)[None], lesions)
    return SimpleNamespace(
        outputs=outputs, vessels=vessel, pixels=np.where(vessel, 0.3, 0.8).astype(np.float32)
    )
