"""The transforms together, as a stage uses them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, decollate_batch
from monai.transforms import Compose, Invertd
from PIL import Image
from scipy.ndimage import binary_dilation

from monai_lora_sam.coronary.transforms import LoadAngiogramd, ViewToTensord, angiogram_augmentation
from monai_lora_sam.transforms import (
    GreyToThreeChannelsd,
    LoadLabeld,
    NormalizeForEncoderd,
    ResizeLongestSided,
)

SIZE = 70


def _training(*between, size=SIZE):
    return Compose(
        [
            LoadAngiogramd(keys="image"),
            LoadLabeld(keys="label"),
            ResizeLongestSided(keys=("image", "label"), size=size, mode=("bilinear", "nearest")),
            *between,
            GreyToThreeChannelsd(keys="image"),
            NormalizeForEncoderd(keys="image", encoder="tiny"),
            ViewToTensord(),
        ]
    )


@pytest.fixture
def items(tmp_path):
    entries = []
    for index, (height, width) in enumerate([(60, 40), (44, 90), (70, 70), (33, 51)]):
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 255
        Image.fromarray(255 - mask // 2).save(tmp_path / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / f"{index}_mask.png")
        view = [30.0, -20.0] if index % 2 else None
        entries.append(
            {
                "image": str(tmp_path / f"{index}.png"),
                "label": str(tmp_path / f"{index}_mask.png"),
                "view": view,
                "pixel_spacing_mm": None,
            }
        )
    return entries


def test_images_of_any_shape_make_batches_and_predictions_go_back(items):
    transform = _training()
    seen = []
    for batch in DataLoader(Dataset(items, transform), batch_size=4, num_workers=1):
        assert batch["image"].shape == (4, 3, SIZE, SIZE)
        assert batch["view"].shape == (4, 2)
        assert torch.isnan(batch["view"]).any(1).tolist() == [True, False, True, False]
        assert -1 <= batch["image"].min() < batch["image"].max() <= 1
        # A perfect network: dark is vessel.
        batch["pred"] = (batch["image"][:, :1] < 0.5).float() * batch["label"].amax((2, 3), keepdim=True)
        undo = Invertd(keys="pred", transform=transform, orig_keys="label", nearest_interp=False)
        for item, entry in zip(decollate_batch(batch), items, strict=True):
            mask = np.asarray(Image.open(entry["label"])) > 0
            restored = undo(item)["pred"][0].numpy() > 0.5
            assert restored.shape == mask.shape
            assert 2 * (restored & mask).sum() / (restored.sum() + mask.sum()) > 0.9
            seen.append(entry["image"])
    assert len(seen) == 4


def test_augmented_real_images_stay_images(shared_data):
    folder = shared_data / "cimat_angio" / "train"
    items = [
        {"image": str(folder / "images" / f"{i:03d}.png"), "label": str(folder / "masks" / f"{i:03d}.png")}
        for i in range(1, 7)
    ]
    transform = _training(angiogram_augmentation(), size=280).set_random_state(0)
    for item in items:
        result = transform(item)
        assert torch.isfinite(result["image"]).all()
        assert set(result["label"].unique().tolist()) == {0, 1}
        image, label = result["image"][0].numpy(), result["label"][0].numpy() > 0
        beside = binary_dilation(label, iterations=4) & ~binary_dilation(label, iterations=2)
        assert image[label].mean() < image[beside].mean()  # Contrast agent is dark.
