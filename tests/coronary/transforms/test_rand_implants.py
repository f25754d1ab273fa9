"""Implants in real images: darker where they lie, unchanged elsewhere, labels untouched, seeded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_lora_sam.coronary.phantom import draw_implants
from monai_lora_sam.coronary.transforms import RandImplantsd


def item() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(1, 96, 128)
    label[:, 40:44] = 1
    return {"image": 0.3 + 0.5 * torch.rand(1, 96, 128, generator=generator), "label": label}


def test_the_absorbed_share_is_that_of_the_attenuation():
    draw = RandImplantsd("image", prob=1.0).set_random_state(2)
    before, after = item(), draw(item())
    spacing = draw.field_of_view_mm / 128
    field = draw_implants(np.random.default_rng(draw.drawing_seed), (96, 128), spacing)
    assert field.max() > 0.1
    image, changed = before["image"][0].numpy(), after["image"][0].numpy()
    darkest = np.percentile(image, 1)
    above = image > darkest + 1e-3
    left = (changed[above] - darkest) / (image[above] - darkest)
    np.testing.assert_allclose(left, np.exp(-draw.strength * field[above]), atol=1e-3)
    np.testing.assert_array_equal(changed[field == 0], image[field == 0])
    assert torch.equal(after["label"], before["label"])


def test_equal_seeds_draw_equal_implants_and_probability_counts():
    one, same, other = (RandImplantsd("image", prob=1.0).set_random_state(s) for s in (1, 1, 2))
    first, again, another = (draw(item())["image"] for draw in (one, same, other))
    assert torch.equal(first, again) and not torch.equal(first, another)
    assert torch.equal(RandImplantsd("image", prob=0.0)(item())["image"], item()["image"])
    rare = RandImplantsd("image", prob=0.3).set_random_state(0)
    changed = [not torch.equal(rare(item())["image"], item()["image"]) for _ in range(40)]
    assert 4 <= sum(changed) <= 20


def test_the_kind_of_tensor_stays_and_values_stay_in_range():
    image = MetaTensor(torch.rand(3, 64, 64), meta={"filename_or_obj": "a.png"})
    drawn = RandImplantsd("image", prob=1.0).set_random_state(0)({"image": image})["image"]
    assert isinstance(drawn, MetaTensor) and drawn.meta["filename_or_obj"] == "a.png"
    assert drawn.dtype == image.dtype and drawn.shape == image.shape
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_a_missing_image_is_an_error_unless_allowed():
    with pytest.raises(KeyError, match="image"):
        RandImplantsd("image", prob=1.0)({})
    assert RandImplantsd("image", prob=1.0, allow_missing_keys=True)({}) == {}
