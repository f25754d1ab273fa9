"""A phantom's lesions in a datalist: in COCO's coordinates, as large as ARCADE's, only those that are seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms
from monai_lora_sam.coronary.phantom.lesion_entries import BOX_GROWTH, lesion_entries

LESION = {
    "segment": "6",
    "percent_diameter_stenosis": 60.0,
    "minimum_lumen_diameter_mm": 1.0,
    "minimum_lumen_diameter_px": 4.0,
    "reference_diameter_mm": 2.5,
    "length_mm": 9.0,
    "centre_xy_px": [29.0, 19.0],
    "box_xyxy_px": [19.5, 15.5, 39.5, 23.5],
}
VESSELS = np.ones((60, 80), np.uint8)


def test_an_entry_by_hand():
    (entry,), hidden = lesion_entries({"lesions": [LESION]}, VESSELS)
    assert hidden == 0
    # Whole pixel centres become halves, and the box grows about its middle (30, 20).
    assert entry["centre_xy"] == [29.5, 19.5]
    assert entry["box_xyxy"] == [
        30 - 10 * BOX_GROWTH,
        20 - 4 * BOX_GROWTH,
        30 + 10 * BOX_GROWTH,
        20 + 4 * BOX_GROWTH,
    ]
    assert (entry["mld_px"], entry["mld_mm"], entry["percent_diameter_stenosis"]) == (4.0, 1.0, 60.0)
    assert (entry["category"], entry["segment"]) == ("stenosis", "6")


def test_a_box_ends_at_the_picture():
    lesion = LESION | {"centre_xy_px": [2.0, 19.0], "box_xyxy_px": [-4.5, 15.5, 9.5, 23.5]}
    (entry,), _ = lesion_entries({"lesions": [lesion]}, VESSELS)
    assert entry["box_xyxy"][0] == 0


@pytest.mark.parametrize(
    ("lesion", "mask"),
    [
        (LESION | {"centre_xy_px": [-3.0, 19.0], "box_xyxy_px": [-9.0, 15.0, 4.0, 23.0]}, VESSELS),
        (LESION | {"centre_xy_px": [29.0, 70.0], "box_xyxy_px": [20.0, 66.0, 38.0, 74.0]}, VESSELS),
        (LESION, np.zeros_like(VESSELS)),
    ],
    ids=["left of the picture", "below it", "behind the collimator"],
)
def test_lesions_out_of_sight_are_counted_and_left_out(lesion: dict, mask: np.ndarray):
    assert lesion_entries({"lesions": [lesion, lesion]}, mask) == ([], 2)


def test_the_datalist_has_them_and_gets_them_for_a_folder_drawn_before(tmp_path: Path):
    config = PhantomConfig(image_size=96, lesion_probability=1.0)
    path = prepare_phantoms(tmp_path, 4, seed=0, validation_fraction=0.25, config=config)
    datalist = json.loads(path.read_text())
    entries = datalist["training"] + datalist["validation"]
    shown = 0
    for entry in entries:
        truth = json.loads((tmp_path / entry["truth"]).read_text())
        mask = np.asarray(Image.open(tmp_path / entry["label"]))
        assert entry["lesions"], "all four carry lesions"
        shown += len(entry["lesions"])
        for lesion in entry["lesions"]:
            x0, y0, x1, y1 = lesion["box_xyxy"]
            assert 0 <= x0 < lesion["centre_xy"][0] < x1 <= 96 and 0 <= y0 < lesion["centre_xy"][1] < y1 <= 96
            assert mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))].any()
            degrees = [one["percent_diameter_stenosis"] for one in truth["lesions"]]
            assert lesion["percent_diameter_stenosis"] in degrees
    total = sum(len(json.loads((tmp_path / e["truth"]).read_text())["lesions"]) for e in entries)
    assert total == shown + sum(int(text.split(": ")[1].split()[0]) for text in datalist["warnings"])

    for entry in entries:
        del entry["lesions"]
    path.write_text(json.dumps(datalist))
    again = prepare_phantoms(tmp_path, 4, seed=0, validation_fraction=0.25, config=config)
    assert all("lesions" in entry for entry in json.loads(again.read_text())["training"])
