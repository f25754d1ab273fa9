"""A grey image in three channels, against MONAI's own transform."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import RepeatChanneld

from monai_lora_sam.transforms import GreyToThreeChannelsd


def test_it_is_monais_repetition_and_keeps_the_metadata():
    item = {"image": MetaTensor(torch.rand(1, 4, 5), meta={"filename_or_obj": "a.png"}), "name": "a"}
    found = GreyToThreeChannelsd("image")(item)
    assert torch.equal(found["image"], RepeatChanneld("image", 3)(item)["image"])
    assert found["image"].meta["filename_or_obj"] == "a.png"
    assert item["image"].shape == (1, 4, 5) and found["name"] == "a"


def test_missing_keys_and_other_channels():
    assert GreyToThreeChannelsd("image", allow_missing_keys=True)({}) == {}
    with pytest.raises(KeyError, match="image"):
        GreyToThreeChannelsd("image")({})
    with pytest.raises(ValueError, match=r"expected one grey channel \(1, H, W\), found \(4, 2, 2\)"):
        GreyToThreeChannelsd("image")({"image": torch.zeros(4, 2, 2)})
