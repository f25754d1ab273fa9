"""Data sets read for each task, and their unions."""

from __future__ import annotations

import json

import pytest

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.data import read_task
from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms
from monai_lora_sam.data import combine_datalists

SMALL = PhantomConfig(image_size=64, background=False)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return prepare_phantoms(tmp_path_factory.mktemp("a"), 4, 1, 0.25, config=SMALL).parent


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return prepare_phantoms(tmp_path_factory.mktemp("b"), 2, 2, 0.5, config=SMALL).parent


def test_phantoms_serve_every_task(phantoms):
    vessels, segments, stenosis = (read_task(phantoms, task) for task in ("vessels", "segments", "stenosis"))
    assert "/labels/" in vessels["training"][0]["label"]
    assert "/segments/" in segments["training"][0]["label"] and segments["class_names"] == ARCADE_CLASS_NAMES
    assert "label" not in stenosis["training"][0] and "/truth/" in stenosis["training"][0]["truth"]


def test_a_set_of_vessels_does_not_serve_segments(phantoms, tmp_path):
    content = json.loads((phantoms / "datalist.json").read_text())
    for split in ("training", "validation"):
        for entry in content[split]:
            for key in ("segments", "truth", "lesions"):
                entry.pop(key, None)
            entry |= {key: str(phantoms / entry[key]) for key in ("image", "label")}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    assert read_task(tmp_path, "vessels")["training"]
    for task in ("segments", "stenosis"):
        with pytest.raises(ValueError, match=f"a data set for the task '{task}'.*found task 'vessels'"):
            read_task(tmp_path, task)


def test_unknown_task(phantoms):
    with pytest.raises(ValueError, match=r"expected one of .*found 'lungs'"):
        read_task(phantoms, "lungs")


def test_union_keeps_splits_and_weights_what_is_given_twice(phantoms, others, tmp_path):
    content = read_task(combine_datalists([phantoms, others, others], tmp_path, "segments"), "segments")
    assert [len(content[split]) for split in ("training", "validation")] == [3 + 1 + 1, 1 + 1]
    expected = {
        entry["label"] for folder in (phantoms, others) for entry in read_task(folder, "segments")["training"]
    }
    assert {entry["label"] for entry in content["training"]} == expected
    assert content["class_names"] == ARCADE_CLASS_NAMES


def test_a_case_on_both_sides_is_refused(phantoms, tmp_path):
    content = json.loads((phantoms / "datalist.json").read_text())
    content["training"], content["validation"] = content["validation"], content["training"]
    for split in ("training", "validation"):
        for entry in content[split]:
            entry |= {k: str(phantoms / entry[k]) for k in ("image", "label", "segments", "truth")}
    (tmp_path / "swapped.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="no case or picture in two splits, found"):
        combine_datalists([phantoms, tmp_path / "swapped.json"], tmp_path / "out", "segments")
