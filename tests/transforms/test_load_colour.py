"""Colour pictures as MONAI tensors, against MONAI's own loader."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged
from PIL import Image

from monai_lora_sam.transforms import LoadColourd

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_pixels_are_those_of_monais_loader(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    theirs = LoadImaged("image", reader="PILReader", ensure_channel_first=True)({"image": path})["image"]
    ours = LoadColourd("image")({"image": str(path), "case_id": "a"})
    image = ours["image"]
    assert isinstance(image, MetaTensor) and image.dtype == torch.float32 and ours["case_id"] == "a"
    # MONAI's loader puts columns first.
    torch.testing.assert_close(image.as_tensor(), theirs.as_tensor().transpose(1, 2) / 255)
    assert image.meta["filename_or_obj"] == str(path)
    assert image.meta["spatial_shape"].tolist() == [6, 8]
    assert image.meta["original_channel_dim"] == theirs.meta["original_channel_dim"] == -1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_pictures_have_three_channels(tmp_path, mode):
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.png")
    image = LoadColourd("image")({"image": tmp_path / "a.png"})["image"]
    expected = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image.numpy(), expected, atol=1e-6)


def test_wrong_files_and_missing_keys(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        LoadColourd("image")({"image": str(tmp_path / "none.png")})
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png: expected PNG"):
        LoadColourd("image")({"image": str(tmp_path / "text.png")})
    assert LoadColourd(["image", "other"], allow_missing_keys=True)({"a": 1}) == {"a": 1}
    with pytest.raises(KeyError):
        LoadColourd("image")({"a": 1})


def test_a_line_of_pixels_is_refused(tmp_path):
    Image.fromarray(PIXELS[:1]).save(tmp_path / "line.png")
    with pytest.raises(ValueError, match=r"line\.png: expected sides from 2 pixels on, found 1x8"):
        LoadColourd("image")({"image": tmp_path / "line.png"})
