"""ReasonSeg's layout in miniature: order of polygons, ignore, flags, encodings, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import prepare_reasonseg, question_entries, read_datalist
from monai_lora_sam.data.reasonseg import draw_shapes

INNER = {"label": "ignore", "points": [[3, 3], [5, 3], [5, 5], [3, 5]]}
OUTER = {"label": "target", "points": [[1, 1], [7, 1], [7, 6], [1, 6]]}
FLAG = {"label": "flag", "points": [[0, 0], [9, 0], [9, 7], [0, 7]]}


def write(folder: Path, name: str, content: dict, encoding: str = "utf-8") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(folder / f"{name}.jpg")
    (folder / f"{name}.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "ReasonSeg"
    write(
        folder / "train",
        "a",
        {
            "text": ["the café’s door", "where one enters"],
            "is_sentence": True,
            "shapes": [INNER, OUTER, FLAG],
        },
        "cp1252",
    )
    write(folder / "val", "b", {"text": ["a door"], "is_sentence": False, "shapes": [INNER]})
    return folder


def test_polygons_are_drawn_largest_first():
    """By hand: 7 x 6 pixels of target, in them 3 x 3 that do not count, though they come first in the list."""
    label = draw_shapes([INNER, OUTER, FLAG], (8, 10))
    assert (label == 2).sum() == 9 and (label == 1).sum() == 7 * 6 - 9
    assert label[3:6, 3:6].min() == 2 and label[0].max() == 0


def test_it_becomes_a_datalist_with_questions(source: Path, tmp_path: Path):
    datalist = prepare_reasonseg(source, tmp_path / "out")
    content = read_datalist(datalist)
    assert [len(content[split]) for split in ("training", "validation", "test")] == [1, 1, 0]
    (entry,) = question_entries(datalist, "training")
    (asked,) = entry["asked"]
    assert "the café’s door Please output segmentation mask." in asked["questions"]  # read as cp1252
    assert len(asked["questions"]) == 4 and asked["answer"] == "It is [SEG]." and asked["masks"] == ["target"]
    assert entry["masks"] == {"target": [1], "ignore": [2]}
    (absent,) = question_entries(datalist, "validation")
    assert absent["asked"][0]["masks"] == [] and "[SEG]" not in absent["asked"][0]["answer"]
    assert "Can you segment the a door in this image?" in absent["asked"][0]["questions"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"text": [], "shapes": []}, "expected a description under 'text'"),
        ({"text": ["a"], "shapes": 3}, "expected a list of shapes"),
        ({"text": ["a"], "shapes": [{"points": []}]}, "expected a shape with a label"),
        ({"text": ["a"], "shapes": [{"label": "target", "points": [[1, 2]]}]}, "expected three points"),
    ],
)
def test_all_damaged_files_are_named(source: Path, tmp_path: Path, content: dict, message: str):
    write(source / "train", "c", content)
    (source / "val" / "d.json").write_text("{")
    with pytest.raises(ValueError, match=message) as caught:
        prepare_reasonseg(source, tmp_path / "out")
    assert "c.json" in str(caught.value) and "d.json" in str(caught.value)


def test_an_empty_folder_and_a_missing_image(source: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected annotations \(X.json beside X.jpg\)"):
        prepare_reasonseg(tmp_path, tmp_path / "out")
    (source / "train" / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"expected the image a\.jpg beside it"):
        prepare_reasonseg(source, tmp_path / "out")
