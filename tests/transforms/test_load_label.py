from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.coronary.transforms import LoadAngiogramd
from monai_lora_sam.transforms import LoadLabeld


def _save(path, array):
    Image.fromarray(array).save(path)
    return str(path)


def test_class_indices_come_rows_first(tmp_path):
    indices = np.arange(26, dtype=np.uint8).reshape(2, 13)
    path = _save(tmp_path / "a.png", indices)
    label = LoadLabeld(keys="label", image_key=None, classes=26)({"label": path})["label"]
    assert label.dtype == torch.uint8
    np.testing.assert_array_equal(label[0].numpy(), indices)


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_masks_of_0_and_255_become_0_and_1_for_two_classes(tmp_path, mode):
    mask = np.zeros((4, 5), dtype=np.uint8)
    mask[1] = 255
    Image.fromarray(mask).convert(mode).save(tmp_path / "a.png")
    label = LoadLabeld(keys="label", image_key=None)({"label": str(tmp_path / "a.png")})["label"]
    np.testing.assert_array_equal(label[0].numpy(), mask // 255)


def test_unknown_values_are_refused(tmp_path):
    path = _save(tmp_path / "a.png", np.array([[0, 255, 7]], dtype=np.uint8))
    with pytest.raises(ValueError, match=r"a\.png: expected labels 0\.\.1 or 0/255, found \[7, 255\]"):
        LoadLabeld(keys="label", image_key=None)({"label": path})
    path = _save(tmp_path / "b.png", np.array([[0, 255]], dtype=np.uint8))
    with pytest.raises(ValueError, match=r"b\.png: expected labels 0\.\.25, found \[255\]"):
        LoadLabeld(keys="label", image_key=None, classes=26)({"label": path})


def test_colour_is_no_label(tmp_path):
    path = _save(tmp_path / "a.png", np.array([[[1, 0, 0], [0, 1, 0]]], dtype=np.uint8))
    with pytest.raises(ValueError, match=r"a\.png: expected integer labels"):
        LoadLabeld(keys="label", image_key=None)({"label": path})


def test_another_size_than_the_images_is_refused(tmp_path):
    image = _save(tmp_path / "image.png", np.zeros((6, 8), dtype=np.uint8))
    label = _save(tmp_path / "label.png", np.zeros((8, 6), dtype=np.uint8))
    item = LoadAngiogramd(keys="image")({"image": image, "label": label})
    with pytest.raises(ValueError, match=r"label\.png: expected 6x8 .* as in .*image\.png, found 8x6"):
        LoadLabeld(keys="label")(item)
