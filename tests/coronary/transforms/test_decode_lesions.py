"""Targets and outputs, brought back to the image's own pixels."""

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor

from monai_lora_sam.coronary.transforms import DecodeLesionsd, LesionTargetsd
from monai_lora_sam.transforms import ResizeLongestSided, as_meta_tensor

LESION = {
    "box_xyxy": [20.0, 10.0, 40.0, 30.0],
    "centre_xy": [28.0, 22.0],
    "percent_diameter_stenosis": 60.0,
    "mld_px": 4.0,
}


def scaled(lesions: list[dict]) -> dict:
    pixels = torch.zeros(60, 80).numpy()
    item = {"image": as_meta_tensor(pixels, "a.png"), "lesions": lesions}
    return LesionTargetsd()(ResizeLongestSided("image", 40)(item))


def test_targets_return_to_the_lesions_that_made_them():
    item = scaled([LESION])
    assert item["label"][0, :4].tolist() == pytest.approx([10, 5, 20, 15])
    (found,) = DecodeLesionsd("label")(item)["label"]
    assert found["box_xyxy"] == pytest.approx(LESION["box_xyxy"], abs=1e-4)
    assert found["centre_xy"] == pytest.approx(LESION["centre_xy"], abs=1e-4)
    assert found["percent_diameter_stenosis"] == 60.0 and found["mld_px"] == pytest.approx(4.0, abs=1e-4)


def test_outputs_are_told_by_their_type():
    item = scaled([])
    item["pred"] = {
        "boxes": torch.tensor([[10.0, 5.0, 20.0, 15.0], [0.0, 0.0, 4.0, 4.0]]),
        "score": torch.tensor([0.9, 0.1]),
        "percent_diameter_stenosis": torch.tensor([55.0, 10.0]),
        "mld_px": torch.tensor([2.0, math.nan]),
    }
    found = DecodeLesionsd(["pred", "label"])(item)
    assert found["label"] == []
    (lesion,) = found["pred"]  # the second is below the threshold
    assert lesion["box_xyxy"] == pytest.approx([20, 10, 40, 30])
    assert lesion["score"] == pytest.approx(0.9) and lesion["mld_px"] == pytest.approx(4.0)


def test_a_missing_key_is_named():
    with pytest.raises(KeyError, match="pred"):
        DecodeLesionsd("pred")({"image": MetaTensor(torch.zeros(1, 4, 4), meta={"spatial_shape": [4, 4]})})
