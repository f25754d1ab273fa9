from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import LoadImage
from PIL import Image

from monai_lora_sam.coronary.phantom import PhantomConfig, generate_cine
from monai_lora_sam.coronary.phantom.dicom import phantom_dataset
from monai_lora_sam.coronary.transforms import LoadAngiogramd

GREY = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)


@pytest.fixture
def png(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_channel_first_with_rows_first_unlike_monais_pil_order(png):
    image = LoadAngiogramd(keys="image")({"image": str(png)})["image"]
    assert isinstance(image, MetaTensor)
    assert image.dtype == torch.float32
    monai_order = LoadImage(image_only=True)(str(png))
    np.testing.assert_allclose(image[0].numpy(), monai_order.numpy().T / 255, atol=1e-7)
    assert image.meta["filename_or_obj"] == str(png)


def test_view_and_spacing_come_from_the_file_only_where_the_item_has_none(tmp_path):
    dataset = phantom_dataset(generate_cine(1, PhantomConfig(image_size=64), frames=2))
    dataset.NumberOfFrames, dataset.PixelData = 1, dataset.PixelData[: 64 * 64]
    dataset.PositionerPrimaryAngle, dataset.PositionerSecondaryAngle = 30, -25
    del dataset.ImagerPixelSpacing
    dataset.PixelSpacing = [0.3, 0.3]
    path = str(tmp_path / "frame.dcm")
    dataset.save_as(path, enforce_file_format=True)
    load = LoadAngiogramd(keys="image")
    for unknown in ({}, {"view": None, "pixel_spacing_mm": None}):
        item = load({"image": path, **unknown})
        assert item["view"] == (30.0, -25.0)
        assert item["pixel_spacing_mm"] == pytest.approx(0.3)
    item = load({"image": path, "view": [1.0, 2.0], "pixel_spacing_mm": 0.1})
    assert item["view"] == [1.0, 2.0]
    assert item["pixel_spacing_mm"] == 0.1


def test_what_nobody_knows_is_nan_and_collates(png):
    items = [{"image": str(png), "view": None, "pixel_spacing_mm": None}, {"image": str(png)}]
    batch = next(iter(DataLoader(Dataset(items, LoadAngiogramd(keys="image")), batch_size=2)))
    assert batch["image"].shape == (2, 1, 12, 20)
    assert torch.isnan(batch["pixel_spacing_mm"]).all()
    assert all(torch.isnan(angles).all() for angles in batch["view"])


def test_missing_keys(png):
    with pytest.raises(KeyError):
        LoadAngiogramd(keys="image")({"label": str(png)})
    item = LoadAngiogramd(keys=("image", "previous"), allow_missing_keys=True)({"image": str(png)})
    assert math.isnan(item["pixel_spacing_mm"])
