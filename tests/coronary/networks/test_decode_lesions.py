"""Targets to network and back: what was put in comes out, in the pixels of the image at its own size."""

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor

from monai_lora_sam.coronary.losses import LesionLoss
from monai_lora_sam.coronary.networks import LESION_COLUMNS, decode_lesions, rows_to_lesions
from monai_lora_sam.coronary.networks.decode_lesions import own_scale
from monai_lora_sam.coronary.networks.lesion_head import find_peaks
from monai_lora_sam.coronary.transforms import LesionTargetsd
from monai_lora_sam.transforms import ResizeLongestSided

SIDE, STRIDE = 112, 3.5
LESIONS = [
    {"box_xyxy": [20.0, 30.0, 52.0, 44.0], "percent_diameter_stenosis": 61.5, "mld_px": 4.25},
    {"box_xyxy": [100.0, 90.0, 118.0, 130.0], "percent_diameter_stenosis": 35.0, "mld_px": 2.0},
]


def targets(shape: tuple[int, int], lesions: list[dict]) -> torch.Tensor:
    item = {"image": MetaTensor(torch.zeros(1, *shape)), "lesions": lesions}
    return LesionTargetsd("lesions")(ResizeLongestSided("image", SIDE)(item))["label"]


def perfect_output(rows: torch.Tensor) -> dict[str, torch.Tensor]:
    """Write down what a network would have to say to be right, by the loss's own heatmap."""
    cells = int(SIDE / STRIDE)
    heat, _ = LesionLoss(STRIDE).heatmap(rows[None], (cells, cells))
    found = {
        "heatmap": torch.logit(heat.clamp(1e-4, 1 - 1e-4))[:, None],
        "offset": torch.zeros(1, 2, cells, cells),
        "size": torch.zeros(1, 2, cells, cells),
    }
    present = rows[~rows[:, 0].isnan()]
    for row in present:
        centre = 0.5 * (row[:2] + row[2:4]) / STRIDE
        x, y = centre.floor().int().tolist()
        found["offset"][0, :, y, x] = centre - torch.tensor([x + 0.5, y + 0.5])
        found["size"][0, :, y, x] = ((row[2:4] - row[:2]) / STRIDE).log()
    boxes, score = find_peaks(found, STRIDE, 8)
    percent, mld = torch.full((1, 8), 1.0), torch.full((1, 8), 1.0)
    for index in range(len(present)):  # of the candidate that lies on the lesion
        for row in present:
            if torch.allclose(boxes[0, index], row[:4], atol=0.1):
                percent[0, index], mld[0, index] = row[6], row[7]
    return {"boxes": boxes, "score": score, "percent_diameter_stenosis": percent, "mld_px": mld}


@pytest.mark.parametrize("shape", [(140, 140), (140, 120), (139, 173), (300, 211), (60, 50)])
def test_decoding_inverts_the_targets(shape: tuple[int, int]):
    lesions = [
        lesion
        for lesion in LESIONS
        if lesion["box_xyxy"][2] <= shape[1] and lesion["box_xyxy"][3] <= shape[0]
    ]
    found = decode_lesions(perfect_output(targets(shape, lesions)), [shape], SIDE, score_threshold=0.5)[0]
    assert len(found) == len(lesions)
    for lesion, expected in zip(sorted(found, key=lambda x: x["box_xyxy"]), lesions, strict=True):
        x0, y0, x1, y1 = expected["box_xyxy"]
        assert lesion["box_xyxy"] == pytest.approx([x0, y0, x1, y1], abs=1e-3)
        assert lesion["centre_xy"] == pytest.approx([(x0 + x1) / 2, (y0 + y1) / 2], abs=1e-3)
        assert lesion["percent_diameter_stenosis"] == pytest.approx(expected["percent_diameter_stenosis"])
        assert lesion["mld_px"] == pytest.approx(expected["mld_px"], rel=1e-4)
        assert lesion["score"] > 0.99


def test_rows_come_back_as_the_lesions_they_were_made_from():
    lesions = [LESIONS[0] | {"centre_xy": [40.0, 33.0]}, {"box_xyxy": [1.0, 2.0, 9.0, 8.0]}]
    first, second = rows_to_lesions(targets((150, 200), lesions), (150, 200), SIDE)
    assert first["centre_xy"] == pytest.approx([40.0, 33.0], abs=1e-3)
    assert first["box_xyxy"] == pytest.approx(lesions[0]["box_xyxy"], abs=1e-3)
    assert first["mld_px"] == pytest.approx(4.25, rel=1e-5)
    assert second["percent_diameter_stenosis"] is None and second["mld_px"] is None
    assert second["centre_xy"] == pytest.approx([5.0, 5.0], abs=1e-3), "an unknown centre is the box's"


def output(boxes: list[list[float]], scores: list[float]) -> dict[str, torch.Tensor]:
    known = torch.tensor([boxes])
    return {
        "boxes": known,
        "score": torch.tensor([scores]),
        "percent_diameter_stenosis": torch.full(known.shape[:2], 50.0),
        "mld_px": torch.full(known.shape[:2], 3.0),
    }


def test_of_two_boxes_on_one_lesion_the_better_stays():
    boxes = [[10.0, 10.0, 30.0, 30.0], [11.0, 10.0, 31.0, 30.0], [60.0, 60.0, 80.0, 80.0]]
    found = decode_lesions(output(boxes, [0.6, 0.9, 0.5]), [(SIDE, SIDE)], SIDE)[0]
    assert [lesion["score"] for lesion in found] == pytest.approx([0.9, 0.5])


def test_faint_lesions_and_missing_boxes_are_left_out():
    boxes = [[10.0, 10.0, 30.0, 30.0], [math.nan] * 4, [60.0, 60.0, 80.0, 80.0]]
    values = output(boxes, [0.29, 0.0, 0.31])
    assert len(decode_lesions(values, [(SIDE, SIDE)], SIDE, score_threshold=0.3)[0]) == 1
    assert len(decode_lesions(values, [(SIDE, SIDE)], SIDE, score_threshold=0.0)[0]) == 2


def test_boxes_end_at_the_image_and_padding_holds_no_lesion():
    # An image twice as wide as high fills the upper half of the square.
    boxes = [[-5.0, 40.0, 15.0, 70.0], [50.0, 80.0, 60.0, 90.0]]
    found = decode_lesions(output(boxes, [0.9, 0.9]), [(112, 224)], SIDE)[0]
    assert [lesion["box_xyxy"] for lesion in found] == [pytest.approx([0.0, 80.0, 30.0, 112.0])]


def test_an_image_without_lesions_gives_an_empty_list():
    assert decode_lesions(output([[1.0, 1.0, 5.0, 5.0]], [0.1]), [(10, 10)], SIDE) == [[]]


def test_as_many_shapes_as_images():
    with pytest.raises(ValueError, match="expected 1 image shapes, found 2"):
        decode_lesions(output([[1.0, 1.0, 5.0, 5.0]], [0.1]), [(10, 10), (10, 10)], SIDE)


@pytest.mark.parametrize("shape", [(512, 512), (300, 211), (97, 400)])
def test_the_scale_is_that_of_the_resized_image(shape: tuple[int, int]):
    resized = ResizeLongestSided("image", SIDE).resize(torch.zeros(1, *shape))
    across, down = own_scale(shape, SIDE)
    assert (shape[0] * down, shape[1] * across) == pytest.approx(tuple(resized.shape[-2:]))
    assert len(LESION_COLUMNS) == 8
