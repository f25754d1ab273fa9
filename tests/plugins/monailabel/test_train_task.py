"""Labels of all pictures are collected under one meaning of their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_app.datastore import SafeDatastore
from label_app.errors import Refused
from label_app.train_task import collect_labels, next_version

from monai_lora_sam.data import read_datalist


@pytest.fixture
def store(tmp_path: Path) -> SafeDatastore:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / f"{name}.png")
    return SafeDatastore(str(folder), ["*.png"])


def save(store: SafeDatastore, image: str, values: list[int], names: dict[str, int] | None) -> None:
    labels = np.zeros((60, 60), np.uint8)
    for row, value in enumerate(values):
        labels[row] = value
    path = store.folder.parent / "label.png"
    Image.fromarray(labels).save(path)
    store.save_label(image, str(path), "final", {"label_names": names} if names else {})


def test_values_of_each_picture_become_those_of_the_names(store, tmp_path: Path) -> None:
    save(store, "a", [1, 2], {"liver": 1, "aorta": 2})
    save(store, "b", [1], {"aorta": 1})
    save(store, "c", [7], None)
    content = read_datalist(collect_labels(store, tmp_path / "out"))
    assert content["class_names"] == ["background", "aorta", "liver", "object 7"]
    first_rows = [np.asarray(Image.open(one["label"]))[:3, 0].tolist() for one in content["training"]]
    assert first_rows == [[2, 1, 0], [1, 0, 0], [3, 0, 0]]
    assert [one["case_id"] for one in content["training"]] == ["a", "b", "c"]


def test_a_picture_without_an_object_is_left_out(store, tmp_path: Path, capsys) -> None:
    for image, values in (("a", [1]), ("b", []), ("c", [1])):
        save(store, image, values, {"liver": 1})
    content = read_datalist(collect_labels(store, tmp_path / "out"))
    assert [one["case_id"] for one in content["training"]] == ["a", "c"]
    assert "left out: b" in capsys.readouterr().out


def test_one_label_is_too_few(store, tmp_path: Path) -> None:
    save(store, "a", [1], {"liver": 1})
    with pytest.raises(Refused, match="two labelled pictures or more, found 1"):
        collect_labels(store, tmp_path / "out")


def test_a_version_is_new_even_after_one_was_removed(tmp_path: Path) -> None:
    assert next_version(tmp_path / "mine") == 1
    for name in ("1", "3", "report_1.html"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    assert next_version(tmp_path / "mine") == 4
