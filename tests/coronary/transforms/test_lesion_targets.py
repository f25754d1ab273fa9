"""Boxes follow their image: compared with the pixels themselves, moved by the same transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Affined, Compose
from scipy import ndimage

from monai_lora_sam.coronary.transforms import AngiogramFlipd, LesionTargetsd, angiogram_augmentation
from monai_lora_sam.coronary.transforms.load_angiogram import as_meta_tensor
from monai_lora_sam.transforms import ResizeLongestSided

ELLIPSE = {"middle": (70.0, 46.0), "half": (18.0, 9.0)}  # x, y in COCO's coordinates


def picture(shape: tuple[int, int] = (100, 130)) -> dict[str, Any]:
    """Draw a bright ellipse and give its box, %DS and MLD."""
    (x, y), (a, b) = ELLIPSE["middle"], ELLIPSE["half"]
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    pixels = (((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1).astype(np.float32)
    lesion = {
        "box_xyxy": [x - a, y - b, x + a, y + b],
        "centre_xy": [x + 6, y],
        "percent_diameter_stenosis": 44.0,
        "mld_px": 3.0,
    }
    return {"image": as_meta_tensor(pixels, "a.png"), "lesions": [lesion], "view": (10.0, 20.0)}


def box_of_pixels(image: torch.Tensor) -> list[float]:
    """Return the box around the bright pixels, in COCO's coordinates."""
    (found,) = ndimage.find_objects((image[0] > 0.5).numpy().astype(int))
    return [found[1].start, found[0].start, found[1].stop, found[0].stop]


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [ResizeLongestSided("image", 65)],
        [ResizeLongestSided("image", 196)],
        [AngiogramFlipd("image", horizontal=True)],
        [AngiogramFlipd("image", vertical=True), ResizeLongestSided("image", 196)],
        [Affined("image", rotate_params=math.radians(20), padding_mode="zeros")],
        [ResizeLongestSided("image", 196), Affined("image", rotate_params=0.3, scale_params=(0.8, 1.2))],
        [
            Affined("image", translate_params=(7, -12), padding_mode="zeros"),
            AngiogramFlipd("image", True, True),
        ],
    ],
    ids=[
        "as it is",
        "smaller",
        "larger",
        "left-right",
        "top-bottom",
        "turned",
        "turned and scaled",
        "shifted",
    ],
)
def test_the_box_is_the_one_around_the_moved_pixels(steps: list):
    item = LesionTargetsd()(Compose(steps)(picture()))
    row = item["label"][0]
    assert row[:4].tolist() == pytest.approx(box_of_pixels(item["image"]), abs=1.6)
    assert item["label"][1:].isnan().all() and item["label"].shape == (16, 8)
    assert row[6] == 44.0


def test_drawn_at_random_over_many_seeds():
    augment = Compose([ResizeLongestSided("image", 112), angiogram_augmentation(label_keys=())])
    compared = 0
    for seed in range(25):
        augment.set_random_state(seed)
        item = LesionTargetsd()(augment(picture()))
        sides = box_of_pixels(item["image"])
        if min(sides) <= 1 or max(sides) >= 111:
            continue  # cut by the frame: the ellipse's box ends there, the pixels' elsewhere
        compared += 1
        assert item["label"][0, :4].tolist() == pytest.approx(sides, abs=1.8), seed
    assert compared >= 15


def test_an_outline_gives_the_box_around_itself():
    """A turned polygon's box is that of its corners, which the ellipse in its box would miss."""
    item = picture()
    del item["lesions"][0]["centre_xy"]
    x0, y0, x1, y1 = item["lesions"][0]["box_xyxy"]
    item["lesions"][0]["polygons_xy"] = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    item["image"][0] = 0
    item["image"][0, int(y0) : int(y1), int(x0) : int(x1)] = 1
    item = Affined("image", rotate_params=math.radians(20), padding_mode="zeros")(item)
    found = LesionTargetsd()(item)["label"][0]
    assert found[:4].tolist() == pytest.approx(box_of_pixels(item["image"]), abs=1.6)
    assert found[4:6].isnan().all()


def test_centre_and_diameter_move_along():
    item = ResizeLongestSided("image", 65)(picture())  # by a half
    row = LesionTargetsd()(item)["label"][0]
    assert row[4:6].tolist() == pytest.approx([38.0, 23.0], abs=1e-4)
    assert row[7].item() == pytest.approx(1.5, rel=1e-4)
    flipped = LesionTargetsd()(AngiogramFlipd("image", horizontal=True)(picture()))["label"][0]
    assert flipped[4].item() == pytest.approx(130 - 76)


def test_what_is_moved_out_of_the_picture_is_no_target():
    item = Affined("image", translate_params=(0, 60), padding_mode="zeros")(picture())
    assert item["image"].sum() == 0 or LesionTargetsd()(item)["label"][0, 0] >= 0
    gone = Affined("image", translate_params=(0, 90), padding_mode="zeros")(picture())
    assert LesionTargetsd()(gone)["label"].isnan().all()


def test_boxes_are_clipped_to_the_picture():
    item = picture()
    item["lesions"][0] = {"box_xyxy": [-4.0, 10.0, 20.0, 30.0]}
    row = LesionTargetsd()(item)["label"][0]
    assert row[:4].tolist() == [0.0, 10.0, 20.0, 30.0]
    assert row[4:].isnan().all(), "what is unknown is NaN"


def test_more_lesions_than_rows_are_an_error():
    item = picture()
    item["lesions"] *= 5
    with pytest.raises(ValueError, match=r"a.png: lesions: expected at most 4 lesions, found 5"):
        LesionTargetsd(rows=4)(item)
    with pytest.raises(ValueError, match="keys: expected one"):
        LesionTargetsd(keys=["lesions", "others"])
