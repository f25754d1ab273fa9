"""Images of several datalists."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.data import write_datalist
from monai_lora_sam.distillation import distillation_entries


def datalist(folder: Path, name: str, task: str, **entries: list[dict[str, str]]) -> Path:
    return write_datalist(folder / name, name=name, task=task, class_names=[], splits=entries)


def test_labelled_and_unlabelled_images_are_joined(tmp_path: Path):
    for name in ("a.png", "b.png", "c.png", "a_label.png"):
        (tmp_path / name).write_bytes(b"")
    a, b, c, label = (str(tmp_path / name) for name in ("a.png", "b.png", "c.png", "a_label.png"))
    bare = datalist(
        tmp_path,
        "bare.json",
        "unlabelled",
        training=[{"image": a, "case_id": "1"}, {"image": b, "view": "x"}],
        validation=[{"image": c}],
    )
    named = datalist(tmp_path, "named.json", "liver", training=[{"image": a, "label": label, "case_id": "1"}])
    for paths in ([bare, named], [named, bare]):
        found = distillation_entries(paths, "training")
        assert sorted(found, key=lambda entry: entry["image"]) == [
            {"image": a, "label": label, "case_id": "1"},
            {"image": b},
        ]
    assert distillation_entries(bare, "validation") == [{"image": c}]
    with pytest.raises(ValueError, match=r"named.json: expected images under 'validation', found none"):
        distillation_entries(named, "validation")


def test_a_datalist_given_twice_counts_twice(tmp_path: Path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    small = datalist(tmp_path, "small.json", "ct", training=[{"image": str(tmp_path / "a.png")}])
    large = datalist(tmp_path, "large.json", "us", training=[{"image": str(tmp_path / "b.png")}])
    found = distillation_entries([small, large, small, small], "training")
    assert [Path(entry["image"]).name for entry in found] == ["a.png", "a.png", "a.png", "b.png"]
