"""Labelled images of datalists: kept keys, several lists, images without labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.data import DatasetError, labelled_entries, modality_of, object_names, write_datalist


def write(folder: Path, names: list[str], classes: list[str], labelled: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    entries = []
    for name in names:
        for path in (folder / f"{name}.png", folder / f"{name}_label.png"):
            path.touch()
        entry = {"image": str(folder / f"{name}.png"), "case_id": name, "modality": "US", "view": [1, 2]}
        entries.append(entry | ({"label": str(folder / f"{name}_label.png")} if labelled else {}))
    splits = {"training": entries, "validation": []}
    return write_datalist(
        folder / "datalist.json", name="x", task="t", class_names=["background", *classes], splits=splits
    )


def test_entries_of_several_datalists(tmp_path: Path):
    first, second = write(tmp_path / "a", ["1", "2"], ["liver"]), write(tmp_path / "b", ["3"], ["kidney"])
    entries = labelled_entries([first, second, first], "training")
    assert [entry["case_id"] for entry in entries] == ["1", "2", "3"]
    assert set(entries[0]) == {"image", "label", "case_id", "modality", "file"}
    assert entries[0]["file"] == entries[0]["label"]
    assert labelled_entries(first, "training") == entries[:2]
    assert object_names([first, second]) == ["liver", "kidney"]
    assert modality_of(entries) == "US" and modality_of([{"image": "a"}]) == ""


def test_images_without_labels_are_listed_together(tmp_path: Path):
    bare = write(tmp_path / "a", ["1", "2"], [], labelled=False)
    with pytest.raises(DatasetError, match=r"2 problem\(s\)") as caught:
        labelled_entries(bare, "training")
    assert len(caught.value.errors) == 2
    with pytest.raises(ValueError, match="expected images under 'validation', found none"):
        labelled_entries(bare, "validation")
