"""Random flips: their frequency, and bad probabilities."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.transforms import RandAngiogramFlipd

IMAGE = torch.arange(12.0).reshape(1, 3, 4)


def test_each_direction_has_its_own_probability():
    flip = RandAngiogramFlipd("image", horizontal_probability=0.25, vertical_probability=0.75)
    flip.set_random_state(0)
    views = torch.tensor([flip({"image": IMAGE, "view": (1.0, 1.0)})["view"] for _ in range(400)])
    share = (views < 0).float().mean(0)
    torch.testing.assert_close(share, torch.tensor([0.25, 0.75]), atol=0.07, rtol=0)


def test_certain_flips_move_pixels_and_labels_alike():
    flip = RandAngiogramFlipd(("image", "label"), horizontal_probability=1.0, vertical_probability=0.0)
    item = flip({"image": IMAGE, "label": IMAGE.clone()})
    assert torch.equal(item["image"], IMAGE.flip(2)) and torch.equal(item["label"], IMAGE.flip(2))


@pytest.mark.parametrize("name", ["horizontal_probability", "vertical_probability"])
def test_bad_probabilities_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected 0 to 1, found 1.5"):
        RandAngiogramFlipd("image", **{name: 1.5})
