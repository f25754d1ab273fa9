"""Pictures in three channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.transforms import LoadColourImaged


def test_colours_and_grey_become_three_channels(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    load = LoadColourImaged(keys="image")
    colour, grey = (load({"image": tmp_path / name})["image"] for name in ("colour.png", "grey.png"))
    assert colour.shape == grey.shape == (3, 5, 7) and colour.dtype == torch.float32
    np.testing.assert_allclose(colour.numpy(), pixels.transpose(2, 0, 1) / 255, atol=1e-6)
    assert all(np.allclose(channel, pixels[..., 0] / 255, atol=1e-6) for channel in grey.numpy())
    assert colour.meta["filename_or_obj"].endswith("colour.png")


def test_an_image_of_one_pixel_is_refused(tmp_path: Path):
    Image.fromarray(np.zeros((4, 1), np.uint8)).save(tmp_path / "line.png")
    with pytest.raises(ValueError, match=r"line.png: expected sides from 2 pixels on, found 4x1"):
        LoadColourImaged(keys="image")({"image": tmp_path / "line.png"})
