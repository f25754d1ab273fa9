"""The union of data sets of any task."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.data import combine_datalists, read_datalist, write_datalist


def kidneys(folder: Path, *cases: str, names: tuple[str, ...] = ("background", "kidney")) -> Path:
    """Write a datalist whose last case is for validation."""
    entries = [{"image": str(folder / f"{case}.png"), "case_id": case} for case in cases]
    for entry in entries:
        Path(entry["image"]).parent.mkdir(parents=True, exist_ok=True)
        Path(entry["image"]).touch()
    return write_datalist(
        folder / "datalist.json",
        name=folder.name,
        task="kidney",
        class_names=names,
        splits={"training": entries[:-1], "validation": entries[-1:]},
        warnings=[f"{folder.name} is small"],
    ).parent


def test_a_set_that_is_given_twice_counts_twice_in_training(tmp_path: Path):
    a, b = kidneys(tmp_path / "a", "1", "2", "3"), kidneys(tmp_path / "b", "4", "5")
    content = read_datalist(combine_datalists([a, b, b], tmp_path / "mixed", "kidney"))
    assert [entry["case_id"] for entry in content["training"]] == ["1", "2", "4", "4"]
    assert [entry["case_id"] for entry in content["validation"]] == ["3", "5"]
    assert content["name"] == "a+b" and content["class_names"] == ["background", "kidney"]
    assert content["warnings"] == ["a is small", "b is small"]


def test_another_task_is_refused(tmp_path: Path):
    a = kidneys(tmp_path / "a", "1", "2")
    with pytest.raises(ValueError, match="the task 'liver', found 'kidney'"):
        combine_datalists([a], tmp_path / "mixed", "liver")


def test_other_class_names_are_refused(tmp_path: Path):
    a = kidneys(tmp_path / "a", "1", "2")
    b = kidneys(tmp_path / "b", "3", "4", names=("background", "left", "right"))
    with pytest.raises(ValueError, match=r"b: expected the class names \['background', 'kidney'\]"):
        combine_datalists([a, b], tmp_path / "mixed", "kidney")


def test_a_case_in_training_and_held_out_is_refused(tmp_path: Path):
    a, b = kidneys(tmp_path / "a", "1", "2"), kidneys(tmp_path / "b", "2", "3")
    with pytest.raises(
        ValueError,
        match=r"no case or picture in two splits, found 1: training\[1\] and validation\[0\] have the case_id '2'",
    ):
        combine_datalists([a, b], tmp_path / "mixed", "kidney")


def test_nothing_to_combine(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one"):
        combine_datalists([], tmp_path, "kidney")
