"""Annotation files of ARCADE: polygons by image, errors and oddities."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from monai_lora_sam.coronary.data import read_annotations
from monai_lora_sam.data import ErrorList

RING = [1.0, 1.0, 6.0, 1.0, 6.0, 5.0]


def split(folder: Path, annotations: list, images: list | None = None) -> Path:
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    Image.new("L", (10, 8)).save(folder / "images" / "1.png")
    known = [{"id": 4, "file_name": "1.png", "width": 10, "height": 8}]
    content = {"images": known if images is None else images, "annotations": annotations}
    (folder / "annotations" / "train.json").write_text(json.dumps(content))
    return folder


def annotation(**changes) -> dict:
    return {"id": 1, "image_id": 4, "category_id": 6, "segmentation": [RING], **changes}


def read(folder: Path) -> tuple[list, dict, list[str]]:
    errors, warnings = ErrorList(), []
    return read_annotations(folder, "train", range(1, 26), errors, warnings), errors.by_file, warnings


def test_polygons_belong_to_their_image(tmp_path):
    images, errors, warnings = read(split(tmp_path, [annotation()]))
    assert not errors and not warnings
    (image,) = images
    assert image.shape == (8, 10) and image.path.name == "1.png"
    assert [(polygon.category, polygon.rings) for polygon in image.polygons] == [(6, [RING])]
    assert image.digest("vessels") != image.digest("segments")


def test_repeated_ids_and_polygons_are_warnings(tmp_path):
    images, errors, warnings = read(split(tmp_path, [annotation(), annotation()]))
    assert not errors and len(images[0].polygons) == 1
    assert any("the same polygon occurs twice" in warning for warning in warnings)
    assert any("1 annotation ids repeat" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 26}, "expected a category from 1 to 25, found 26"),
        ({"image_id": 5}, "expected the id of an image, found 5"),
        ({"segmentation": []}, "expected a list of polygons"),
        ({"segmentation": [[1, 1, 2, 2]]}, "at least 3 points x, y, found 4 numbers"),
        ({"segmentation": [[1, 1, 30, 1, 6, 5]]}, "expected a polygon inside the image of 10x8"),
        ({"segmentation": [[1, 1, 2, 2, 3, 3]]}, "expected a polygon with an area"),
    ],
)
def test_bad_annotations_are_errors(tmp_path, changes, message):
    images, errors, _ = read(split(tmp_path, [annotation(**changes)]))
    assert not images[0].polygons
    assert message in str(errors)


def test_a_missing_file_and_a_missing_image_are_errors(tmp_path):
    _, errors, _ = read(split(tmp_path, [], [{"id": 4, "file_name": "2.png", "width": 10, "height": 8}]))
    assert "expected the image that" in str(errors)
    (tmp_path / "annotations" / "train.json").write_text("[")
    assert "expected JSON" in str(read(tmp_path)[1])
    (tmp_path / "annotations" / "train.json").unlink()
    assert "expected an annotation file, found nothing" in str(read(tmp_path)[1])
