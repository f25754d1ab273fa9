"""Preparation of vessels: the truth of a vessel that stage 1 followed is about the width of its map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_lora_sam.coronary.lumen_training import prepare_vessels


def test_true_diameters_are_about_the_widths_of_the_map(tmp_path: Path):
    splits = prepare_vessels(tmp_path, count=1, held_out=1, seed=3)
    for vessels in splits.values():
        ratio = np.concatenate([vessel.diameter_px[vessel.known] / vessel.width_px for vessel in vessels])
        assert len(vessels) > 2 and 0.8 < np.median(ratio) < 1.25
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(times) == 2
    again = prepare_vessels(tmp_path, count=1, held_out=1, seed=3)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert all(len(again[split]) == len(splits[split]) for split in splits)


def test_no_phantoms_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected 1 or more .*, found 0 and 60"):
        prepare_vessels(tmp_path, count=0)
