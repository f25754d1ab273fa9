"""Normalisation as each encoder was trained."""

from __future__ import annotations

import pytest
import torch
from transformers import Sam3ImageProcessorFast, SamImageProcessor

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.transforms import NormalizeForEncoderd


def test_other_channel_counts_are_refused():
    with pytest.raises(ValueError, match=r"image: expected three channels \(3, H, W\), found \(1, 4, 5\)"):
        NormalizeForEncoderd(keys="image", encoder="tiny")({"image": torch.rand(1, 4, 5)})


@pytest.mark.parametrize(
    ("name", "processor"), [("sam3", Sam3ImageProcessorFast), ("sam_vit_b", SamImageProcessor)]
)
def test_normalisation_is_that_of_transformers_own_processor(name, processor):
    image = torch.rand(3, 6, 7)
    ours = NormalizeForEncoderd(keys="image", encoder=name)({"image": image})["image"]
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    torch.testing.assert_close(ours, (image - mean[:, None, None]) / std[:, None, None])


def test_an_encoder_serves_as_well_as_its_name():
    image = torch.rand(3, 6, 7)
    by_name = NormalizeForEncoderd(keys="image", encoder="tiny")({"image": image})["image"]
    by_object = NormalizeForEncoderd(keys="image", encoder=build_encoder("tiny"))({"image": image})["image"]
    assert torch.equal(by_name, by_object)
    with pytest.raises(ValueError, match=r"encoder: expected one of .*tiny.*, found 'small'"):
        NormalizeForEncoderd(keys="image", encoder="small")


def test_own_range_comes_before_mean_and_deviation():
    image = torch.rand(3, 6, 7) * 0.3 + 0.2
    ours = NormalizeForEncoderd(keys="image", encoder="mini")({"image": image})["image"]
    in_range = (image - image.min()) / (image.max() - image.min())
    torch.testing.assert_close(ours, (in_range - 0.5) / 0.5)
    assert (
        NormalizeForEncoderd(keys="image", encoder="mini")({"image": image * 0 + 0.4})["image"] == -1
    ).all()
