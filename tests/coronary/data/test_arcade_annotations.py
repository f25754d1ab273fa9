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
    assert "expected an annotation file in JSON" in str(read(tmp_path)[1])
    (tmp_path / "annotations" / "train.json").unlink()
    assert "expected an annotation file, found nothing" in str(read(tmp_path)[1])


RECORD = {"id": 4, "file_name": "1.png", "width": 10, "height": 8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segmentation": {"counts": "abc", "size": [8, 10]}}, "run-length mask"),
        ({"segmentation": None, "bbox": [1, 1, 4, 4]}, "found a box alone"),
        ({"iscrowd": 1}, "expected one object"),
        ({"segmentation": [["1", "1", "6", "1", "6", "5"]]}, "expected numbers, found '1'"),
        ({"segmentation": [[True, 1, 6, 1, 6, 5]]}, "expected numbers, found True"),
        ({"segmentation": [[10**400, 1, 6, 1, 6, 5]]}, "expected finite coordinates"),
        ({"segmentation": [[float("inf"), 1, 6, 1, 6, 5]]}, "expected finite coordinates"),
        ({"segmentation": [[[1, 1], [6, 1], [6, 5]]]}, "found 3 numbers"),
        ({"image_id": [4]}, "annotations[0]: expected image_id"),
        ({"image_id": float("nan")}, "annotations[0]: expected image_id"),
        ({"category_id": None}, "annotations[0]: expected image_id"),
        ({"category_id": True}, "annotations[0]: expected image_id"),
    ],
)
def test_annotations_of_other_kinds_are_errors(tmp_path, changes, message):
    images, errors, _ = read(split(tmp_path, [annotation(**changes)]))
    assert not images[0].polygons
    assert message in str(errors)


@pytest.mark.parametrize(
    "record",
    [
        {**RECORD, "width": "10"},
        {**RECORD, "height": float("nan")},
        {**RECORD, "height": -8},
        {**RECORD, "file_name": ["1.png"]},
        {**RECORD, "file_name": ""},
        {**RECORD, "file_name": "../images/1.png"},
        {**RECORD, "file_name": "/etc/hostname"},
        {**RECORD, "file_name": "https://example.org/1.png"},
        {**RECORD, "file_name": "1.png\0"},
        {**RECORD, "id": {}},
        "1.png",
        None,
    ],
)
def test_bad_records_are_errors(tmp_path, record):
    images, errors, _ = read(split(tmp_path, [], [record]))
    assert not images
    assert sum(map(len, errors.values())) == 1


def test_ids_may_be_texts_and_whole_floats(tmp_path):
    images, errors, _ = read(
        split(tmp_path, [annotation(image_id=4, id=[1], category_id=6.0)], [{**RECORD, "id": "4"}])
    )
    assert not errors and images[0].polygons[0].category == 6


@pytest.mark.parametrize(
    ("categories", "result"),
    [
        ([{"id": 6, "name": "10A "}], 12),
        ([{"id": "6", "name": 11}], 13),
        ([], 6),
        ([{"id": 6, "name": "aorta"}], "found 6 (under 'categories' no name of ARCADE's)"),
        ([{"id": 1, "name": "6"}], "found 6 (under 'categories' no name of ARCADE's)"),
        ([{"id": 6, "name": "stenosis"}], "found 26"),
        ([{"id": 6, "name": "6"}, {"id": 6, "name": "7"}], "expected one name for the id 6"),
        ([{"id": 6}], "categories[0]: expected id and name"),
        ([7], "categories[0]: expected id and name"),
        ({"6": "6"}, "categories: expected a list"),
    ],
)
def test_categories_are_known_by_name(tmp_path, categories, result):
    folder = split(tmp_path, [annotation()])
    path = folder / "annotations" / "train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "categories": categories}))
    images, errors, _ = read(folder)
    if isinstance(result, str):
        assert result in str(errors)
    else:
        assert not errors and images[0].polygons[0].category == result


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5000, "\udcff", "", "nul"])
def test_files_without_json_are_one_error(tmp_path, content):
    folder = split(tmp_path, [])
    (folder / "annotations" / "train.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    images, errors, _ = read(folder)
    assert not images and "expected an annotation file in JSON" in str(errors)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_byte_order_are_read(tmp_path, encoding):
    folder = split(tmp_path, [annotation()])
    path = folder / "annotations" / "train.json"
    path.write_text(path.read_text(), encoding=encoding)
    images, errors, _ = read(folder)
    assert not errors and images[0].polygons
