"""Phantoms to learn from: drawn once, split as asked, and named by the weights that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.adapters import read_card
from monai_lora_sam.coronary.lumen_training.phantoms import stage_folders, training_phantoms, version_of


def test_phantoms_are_split_as_asked_and_not_drawn_again(tmp_path: Path):
    entries = training_phantoms(tmp_path, 2, 1, seed=3, progress=False)
    assert [len(entries[split]) for split in ("training", "validation")] == [2, 1]
    images = sorted(tmp_path.rglob("*.png"))
    written = [path.stat().st_mtime_ns for path in images]
    assert training_phantoms(tmp_path, 2, 1, seed=3, progress=False) == entries
    assert [path.stat().st_mtime_ns for path in images] == written


def test_at_least_one_of_each_is_needed(tmp_path: Path):
    with pytest.raises(ValueError, match="expected 1 or more to train on and held out, found 2 and 0"):
        training_phantoms(tmp_path, 2, 0, seed=0, progress=False)


def test_the_version_is_that_of_the_cards():
    for folder in stage_folders().values():
        assert read_card(folder)["digest"].startswith(version_of(folder)) and len(version_of(folder)) == 8
