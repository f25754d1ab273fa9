"""Preparation of maps: each stage's map of each phantom, written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.lumen_training import prepare_maps
from monai_lora_sam.coronary.pipeline import CoronaryPipeline
from monai_lora_sam.coronary.stages import SHIPPED


def test_maps_are_those_of_the_stages_and_are_written_once(tmp_path: Path):
    splits = prepare_maps(tmp_path, count=1, held_out=1, seed=3)
    assert [len(splits[split]) for split in ("training", "validation")] == [1, 1]
    entry = splits["training"][0]
    assert set(entry["maps"]) == {"vessels", "vessels_phantom"}
    stage = CoronaryPipeline(SHIPPED / "vessels", refiner=None, diameter_network=None, device="cpu")
    expected = stage.probability(read_angiogram(entry["image"]))
    found = np.asarray(Image.open(entry["maps"]["vessels"])) / 255
    assert found == pytest.approx(expected, abs=0.01)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "maps").rglob("*.png")}
    assert len(times) == 4
    assert prepare_maps(tmp_path, count=1, held_out=1, seed=3) == splits
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize(("count", "held_out"), [(0, 1), (1, 0)])
def test_no_phantoms_are_refused(count: int, held_out: int, tmp_path: Path):
    with pytest.raises(ValueError, match=f"expected 1 or more .*, found {count} and {held_out}"):
        prepare_maps(tmp_path, count=count, held_out=held_out)
