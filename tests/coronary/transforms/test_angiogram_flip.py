from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from monai_lora_sam.coronary.transforms import AngiogramFlipd, RandAngiogramFlipd

ARRAY = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


@pytest.mark.parametrize(
    ("horizontal", "vertical", "pixels", "view"),
    [
        (False, False, ARRAY, (30.0, -20.0)),
        (True, False, ARRAY[..., ::-1], (-30.0, -20.0)),
        (False, True, ARRAY[:, ::-1], (30.0, 20.0)),
        (True, True, ARRAY[:, ::-1, ::-1], (-30.0, 20.0)),
    ],
)
def test_pixels_and_view_flip_together(horizontal, vertical, pixels, view):
    flip = AngiogramFlipd(keys=("image", "label"), horizontal=horizontal, vertical=vertical)
    image = MetaTensor(torch.from_numpy(ARRAY.copy()))
    item = flip({"image": image, "label": image.clone(), "view": (30.0, -20.0)})
    np.testing.assert_array_equal(item["image"].numpy(), pixels)
    np.testing.assert_array_equal(item["label"].numpy(), pixels)
    assert item["view"] == view
    item = flip({"image": image, "label": image.clone(), "view": torch.tensor([30.0, -20.0])})
    assert tuple(item["view"].tolist()) == view


def test_unknown_angles_stay_unknown():
    flip = AngiogramFlipd(keys="image", horizontal=True, vertical=True)
    image = torch.from_numpy(ARRAY)
    assert flip({"image": image, "view": None})["view"] is None
    assert "view" not in flip({"image": image})
    assert flip({"image": image, "view": (None, 5.0)})["view"] == (None, -5.0)
    assert math.isnan(flip({"image": image, "view": (math.nan, 5.0)})["view"][0])


def test_invertd_undoes_it():
    pre = Compose([AngiogramFlipd(keys="image", horizontal=True)])
    item = pre({"image": MetaTensor(torch.from_numpy(ARRAY))})
    item["pred"] = item["image"].clone()
    restored = Invertd(keys="pred", transform=pre, orig_keys="image", nearest_interp=False)(item)["pred"]
    np.testing.assert_array_equal(restored.numpy(), ARRAY)


def test_random_flips_are_the_fixed_ones_and_repeat_with_the_seed():
    image = torch.from_numpy(ARRAY)
    flip = RandAngiogramFlipd(keys="image").set_random_state(0)
    views = []
    for _ in range(200):
        item = flip({"image": image, "view": (30.0, -20.0)})
        horizontal, vertical = item["view"][0] < 0, item["view"][1] > 0
        fixed = AngiogramFlipd(keys="image", horizontal=horizontal, vertical=vertical)({"image": image})
        assert torch.equal(item["image"], fixed["image"])
        views.append(item["view"])
    counts = [views.count(view) for view in {*views}]
    assert len(counts) == 4
    assert min(counts) > 30
    again = RandAngiogramFlipd(keys="image").set_random_state(0)
    assert [again({"image": image, "view": (30.0, -20.0)})["view"] for _ in range(200)] == views


def test_probabilities():
    image = torch.from_numpy(ARRAY)
    never = RandAngiogramFlipd(keys="image", horizontal_probability=0, vertical_probability=0)
    always = RandAngiogramFlipd(keys="image", horizontal_probability=1, vertical_probability=0)
    for _ in range(5):
        assert never({"image": image, "view": (1.0, 2.0)})["view"] == (1.0, 2.0)
        assert always({"image": image, "view": (1.0, 2.0)})["view"] == (-1.0, 2.0)
    with pytest.raises(ValueError, match="vertical_probability: expected 0 to 1, found 2"):
        RandAngiogramFlipd(keys="image", vertical_probability=2)
