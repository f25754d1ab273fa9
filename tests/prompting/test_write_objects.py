"""Files of prompted masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from monai_lora_sam.prompting import ObjectPrompt, SegmentedObject, draw_objects, write_objects

PIXELS = np.full((40, 50, 3), 0.5, np.float32)


def _object(name: str, rows: slice, columns: slice, **prompt: tuple) -> SegmentedObject:
    mask = np.zeros((40, 50), bool)
    mask[rows, columns] = True
    return SegmentedObject(ObjectPrompt(name, **prompt), mask, 0.91239)


ONE = _object("Left kidney/1", slice(5, 25), slice(10, 30), box=(9, 4, 31, 26))
TWO = _object("spot", slice(0, 0), slice(0, 0), points=((3, 4, 1), (8, 9, 0)))


def test_one_object_is_the_mask(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    files = write_objects(tmp_path, PIXELS, [ONE], {"image": "a.png"})
    assert {file.name for file in files} == {"mask.png", "overlay.png", "segmentation.json"}
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask > 0, ONE.mask)
    record = json.loads((tmp_path / "segmentation.json").read_text())
    assert record == {
        "form": "segmentation/1",
        "image": "a.png",
        "size_px": [50, 40],
        "objects": [
            {
                "name": "Left kidney/1",
                "mask": "mask.png",
                "box_xyxy": [9, 4, 31, 26],
                "predicted_iou": 0.9124,
                "area_px": 400,
                "mask_box_xyxy": [10, 5, 30, 25],
            }
        ],
    }
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_several_objects_get_masks_of_their_own(tmp_path: Path) -> None:
    write_objects(tmp_path, PIXELS, [ONE, TWO], {})
    record = json.loads((tmp_path / "segmentation.json").read_text())
    assert [one["mask"] for one in record["objects"]] == ["mask_1_left_kidney_1.png", "mask_2_spot.png"]
    assert "mask_box_xyxy" not in record["objects"][1]
    assert not np.asarray(Image.open(tmp_path / "mask_2_spot.png")).any()


def test_the_picture_shows_mask_box_and_points() -> None:
    picture = draw_objects(PIXELS, [ONE, TWO])
    assert picture.shape == (400, 500, 3)  # enlarged ten times
    grey = (128, 128, 128)
    assert tuple(picture[390, 490]) == grey and tuple(picture[100, 110]) != grey
    assert tuple(picture[41, 90]) == (230, 159, 0) or tuple(picture[40, 95]) == (230, 159, 0)  # the box
    assert tuple(picture[45, 35]) == (0x39, 0xFF, 0x14) and tuple(picture[95, 85]) == (0xFF, 0x2D, 0x2D)
    assert draw_objects(np.zeros((600, 700, 3), np.float32), []).shape == (600, 700, 3)
