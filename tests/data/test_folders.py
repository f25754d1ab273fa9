from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import DatasetError, datalist_from_folders, split_by_case


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    return tmp_path / "images", tmp_path / "masks"


def _add(folders, stem, seed, mask=None, extension=".png"):
    image = np.random.default_rng(seed).integers(0, 256, (6, 8), dtype=np.uint8)
    Image.fromarray(image).save(folders[0] / f"{stem}{extension}")
    if mask is not None:
        Image.fromarray(mask).save(folders[1] / f"{stem}.png")


MASK = np.eye(6, 8, dtype=np.uint8) * 255


def test_pairs_match_by_stem_and_copies_share_a_case(folders):
    _add(folders, "b", 1, MASK, extension=".tif")
    _add(folders, "a", 2, MASK)
    _add(folders, "c", 1, MASK)
    (folders[0] / "notes.txt").write_text("not an image")
    entries = datalist_from_folders(*folders)
    assert [entry["image"].rsplit("/", 1)[1] for entry in entries] == ["a.png", "b.tif", "c.png"]
    assert [entry["label"].rsplit("/", 1)[1] for entry in entries] == ["a.png", "b.png", "c.png"]
    assert entries[1]["case_id"] == entries[2]["case_id"] != entries[0]["case_id"]


def test_problems_are_reported_together(folders):
    _add(folders, "good", 0, MASK)
    _add(folders, "alone", 1)
    _add(folders, "small", 2, MASK[:3])
    _add(folders, "blank", 3, MASK * 0)
    _add(folders, "grey", 4, MASK // 2)
    _add(folders, "broken", 5, MASK)
    (folders[0] / "broken.png").write_bytes(b"")
    Image.fromarray(MASK).save(folders[1] / "orphan.png")
    _add(folders, "twice", 6, MASK)
    _add(folders, "twice", 6, extension=".tif")
    with pytest.raises(DatasetError) as caught:
        datalist_from_folders(*folders)
    found = {
        file.rsplit("/", 2)[1] + "/" + file.rsplit("/", 1)[1]: text
        for file, [text] in caught.value.errors.items()
    }
    assert found["images/alone.png"].startswith("expected a mask of the same name")
    assert found["masks/orphan.png"].startswith("expected an image of the same name")
    assert "expected (6, 8) (rows, columns)" in found["masks/small.png"]
    assert found["masks/blank.png"] == "expected a mask, found only background"
    assert found["masks/grey.png"].startswith("expected labels 0..1 or 0/255, found [127]")
    assert found["images/broken.png"] == "expected an image, found an empty file"
    assert found["images/twice.tif"].startswith("expected one file for each name, found twice.png")
    assert len(found) == 7


def test_missing_and_empty_folders(folders):
    with pytest.raises(DatasetError, match="expected images, found none") as caught:
        datalist_from_folders(folders[0], folders[1].parent / "nowhere")
    assert "found no such folder" in str(caught.value)


def test_cimat_goes_through(shared_data):
    folder = shared_data / "cimat_angio" / "train"
    entries = datalist_from_folders(folder / "images", folder / "masks")
    assert len(entries) == 40
    parts = split_by_case(entries, {"training": 0.75, "validation": 0.25}, seed=0)
    assert [len(parts[part]) for part in parts] == [30, 10]


def test_names_match_in_either_form_of_unicode_and_masks_that_look_inverted_are_named(folders):
    _add(folders, unicodedata.normalize("NFD", "artère"), 1)
    inverted = np.full((6, 8), 255, np.uint8)
    inverted[2:4, 2:6] = 0
    Image.fromarray(inverted).save(folders[1] / f"{unicodedata.normalize('NFC', 'artère')}.png")
    _add(folders, "b", 2, MASK)
    warnings: list[str] = []
    assert len(datalist_from_folders(*folders, warnings=warnings)) == 2
    assert len(warnings) == 1 and "it looks inverted" in warnings[0]


def test_images_alone_have_cases_and_no_labels(folders):
    _add(folders, "b", 1)
    _add(folders, "a", 2)
    _add(folders, "c", 1)
    entries = datalist_from_folders(folders[0])
    assert [entry["label"] for entry in entries] == [None] * 3
    assert entries[1]["case_id"] == entries[2]["case_id"] != entries[0]["case_id"]
    (folders[0] / "d.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"d.png"):
        datalist_from_folders(folders[0])
    with pytest.raises(DatasetError, match="expected images, found none"):
        datalist_from_folders(folders[1])
