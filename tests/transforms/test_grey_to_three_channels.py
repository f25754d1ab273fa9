"""One grey channel, repeated three times."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.transforms import GreyToThreeChannelsd


def test_grey_is_repeated():
    image = torch.rand(1, 4, 5)
    repeated = GreyToThreeChannelsd(keys="image")({"image": image})["image"]
    assert torch.equal(repeated, image.expand(3, 4, 5))


def test_other_channel_counts_are_refused():
    with pytest.raises(ValueError, match=r"image: expected one grey channel \(1, H, W\), found \(3, 4, 5\)"):
        GreyToThreeChannelsd(keys="image")({"image": torch.rand(3, 4, 5)})
