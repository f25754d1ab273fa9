from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd
from scipy.ndimage import center_of_mass, gaussian_filter, zoom

from monai_lora_sam.transforms import ResizeLongestSided


@pytest.mark.parametrize(("height", "width"), [(60, 40), (40, 60), (37, 23), (150, 111), (50, 50)])
def test_probability_maps_come_back_through_invertd(height, width):
    size = 56
    smooth = gaussian_filter(np.random.default_rng(0).random((height, width)), 4)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    image = MetaTensor(torch.tensor(smooth, dtype=torch.float32)[None])
    pre = Compose([ResizeLongestSided(keys="image", size=size)])
    batch = next(iter(DataLoader(Dataset([{"image": image}] * 2, pre), batch_size=2)))
    assert batch["image"].shape == (2, 1, size, size)
    batch["probability"] = batch["image"].clone()
    post = Invertd(keys="probability", transform=pre, orig_keys="image", nearest_interp=False)
    for item in decollate_batch(batch):
        restored = post(item)["probability"]
        assert restored.shape == (1, height, width)
        inner = np.abs(restored[0].numpy() - smooth)[4:-4, 4:-4]
        assert inner.mean() < 0.01
        assert inner.max() < 0.08


def test_scaling_keeps_the_aspect_and_agrees_with_scipy():
    image = np.add.outer(np.arange(40.0), 2 * np.arange(20.0)).astype(np.float32)
    resized = ResizeLongestSided(keys="image", size=80)({"image": torch.from_numpy(image)[None]})["image"][0]
    expected = zoom(image, 2, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resized[:, :40].numpy(), expected, atol=1e-4)
    assert not resized[:, 40:].any()  # Padded at the end only, with zeros.


def test_labels_keep_their_values():
    label = torch.from_numpy(np.random.default_rng(0).integers(0, 26, (1, 33, 21), dtype=np.uint8))
    item = {"image": torch.rand(1, 33, 21), "label": label}
    transform = ResizeLongestSided(keys=("image", "label"), size=70, mode=("bilinear", "nearest"))
    resized = transform(item)["label"]
    assert resized.shape == (1, 70, 70)
    assert set(resized.unique().tolist()) <= set(label.unique().tolist()) | {0}


@pytest.mark.parametrize(("height", "width"), [(51, 33), (512, 400), (90, 90)])
def test_labels_stay_on_their_image(height, width):
    rows, columns = np.mgrid[:height, :width]
    disc = ((rows - 0.4 * height) ** 2 + (columns - 0.55 * width) ** 2 < (0.3 * width) ** 2)[None]
    item = {
        "image": torch.from_numpy(disc.astype(np.float32)),
        "label": torch.from_numpy(disc.astype(np.uint8)),
    }
    transform = ResizeLongestSided(keys=("image", "label"), size=70, mode=("bilinear", "nearest"))
    item = transform(item)
    image, label = item["image"][0].numpy(), item["label"][0].numpy() > 0
    np.testing.assert_allclose(center_of_mass(label), center_of_mass(image), atol=0.15)


def test_shrinking_smooths_first():
    stripes = torch.zeros(1, 400, 400)
    stripes[..., ::2] = 1
    resized = ResizeLongestSided(keys="image", size=57)({"image": stripes})["image"]
    # Sampled without smoothing, stripes one pixel wide alias to patterns of full contrast.
    assert resized[..., 5:-5, 5:-5].std() < 0.05


def test_bad_size():
    with pytest.raises(ValueError, match="size: expected a positive number"):
        ResizeLongestSided(keys="image", size=0)


def test_the_size_before_padding_is_kept():
    resize = ResizeLongestSided(
        keys=["image", "label"],
        size=32,
        mode=["bilinear", "nearest"],
        size_key="size",
        allow_missing_keys=True,
    )
    item = resize({"image": torch.rand(3, 40, 64)})
    assert item["size"].tolist() == [20, 32] and item["image"].shape == (3, 32, 32)
