"""Phrases from datalists of every form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import DatasetError, phrase_entries, phrase_weights, vocabulary_of

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a datalist of one image with the given label values and keys."""

    def make(values: list[int], entry: dict[str, Any] | None = None, **keys: Any) -> Path:
        label = np.zeros((8, 8), np.uint8)
        label[0, : len(values)] = values
        Image.fromarray(label).save(tmp_path / "label.png")
        Image.fromarray(label).save(tmp_path / "image.png")
        found = (
            {"image": "image.png", "label": "label.png"} if entry is None else {"image": "image.png", **entry}
        )
        (tmp_path / "datalist.json").write_text(json.dumps({**keys, "training": [found]}))
        return tmp_path / "datalist.json"

    return make


@pytest.mark.parametrize(
    ("values", "entry", "keys", "masks", "absent"),
    [
        ([1], None, {"class_names": ["background", "liver", "spleen"]}, {"liver": [1]}, ["spleen"]),
        ([255], None, {"class_names": ["background", "liver"]}, {"liver": [1]}, []),
        (
            [2, 3],
            None,
            {"phrases": {"kidneys": [2, 3], "left kidney": [2], "liver": [1]}},
            {"kidneys": [2, 3], "left kidney": [2]},
            ["liver"],
        ),
        (
            [9],
            {"label": "label.png", "objects": [{"name": "heart", "grey_level": 9}]},
            {},
            {"heart": [9]},
            [],
        ),
    ],
)
def test_labels_tell_present_and_absent_phrases(
    values: list[int], entry: Any, keys: dict[str, Any], masks: dict, absent: list[str], write: Write
):
    with pytest.warns(UserWarning, match="no image has an absent phrase") if not absent else nothing():
        (found,) = phrase_entries(write(values, entry, **keys), "training")
    assert found["masks"] == masks and found["absent"] == absent


def nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_masks_of_their_own_and_null(write: Write, tmp_path: Path):
    path = write([1], {"phrases": {"liver": "label.png", "spleen": None}})
    (found,) = phrase_entries(path, "training")
    assert found["masks"] == {"liver": str(tmp_path / "label.png")} and found["absent"] == ["spleen"]
    assert vocabulary_of([found]) == ["liver", "spleen"]


@pytest.mark.parametrize(
    ("values", "entry", "keys", "message"),
    [
        ([1], {}, {}, "expected phrases or a label, found neither"),
        ([1], {"phrases": {}}, {}, "expected phrases with the path of a mask or null each, found {}"),
        ([1], {"phrases": {"liver": "no.png"}}, {}, "'liver': expected a mask, found nothing at .*no.png"),
        (
            [1, 7],
            None,
            {"class_names": ["background", "liver"]},
            r"expected a name for each value, found none for \[7\]",
        ),
    ],
)
def test_entries_without_phrases_are_named(
    values: list[int], entry: Any, keys: dict, message: str, write: Write
):
    with pytest.raises(DatasetError, match=message):
        phrase_entries(write(values, entry, **keys), "training")


def test_an_empty_split_is_named(write: Write):
    with pytest.raises(ValueError, match="expected images under 'validation', found none"):
        phrase_entries(write([1], class_names=["background", "liver"]), "validation")


def test_cosmos_names_are_phrases_and_those_of_other_organs_are_absent(shared_data: Path, tmp_path: Path):
    from monai_lora_sam.data import prepare_cosmos, read_datalist

    path = prepare_cosmos(shared_data / "cosmos", tmp_path)
    names = {one["name"] for entry in read_datalist(path)["test"] for one in entry["objects"]}
    found = phrase_entries(path, "test")
    assert vocabulary_of(found) == sorted(names) and len(names) > 3
    for entry in found:
        assert entry["masks"] and set(entry["absent"]) == names - set(entry["masks"])


def test_rare_phrases_weigh_more():
    entries = [{"masks": {"a": [1]}}] * 4 + [{"masks": {"b": [1]}}]
    first, second, never = phrase_weights(entries, ["a", "b", "c"])
    assert second == never == pytest.approx(2 * first, abs=1e-3) and first + second + never == pytest.approx(
        3, abs=1e-3
    )
