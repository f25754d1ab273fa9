"""Straightened vessels with their truth: along a tube of known width, and on disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.lumen_training import (
    MeasuredVessel,
    TrueDiameters,
    measure_vessels,
    read_vessels,
    write_vessels,
)


def test_what_is_written_is_read(vessels: list[MeasuredVessel], tmp_path: Path):
    write_vessels(tmp_path / "a" / "vessels.npz", vessels)
    again = read_vessels(tmp_path / "a" / "vessels.npz")
    assert len(again) == 3 and [path.name for path in (tmp_path / "a").iterdir()] == ["vessels.npz"]
    for one, other in zip(vessels, again, strict=True):
        for field in fields(MeasuredVessel):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_a_tube_is_measured_beside_its_true_diameter():
    rows, columns = np.mgrid[:120, :120]
    mask = ((np.abs(rows - 60) <= 5) & (columns > 10) & (columns < 110)).astype(np.float32)
    count = 99
    line = {
        "points_xy_px": [[float(x), 60.0] for x in range(11, 11 + count)],
        "diameter_px": [10.0] * count,
        "diameter_mm": [2.0] * count,
        "reference_diameter_mm": [4.0] * count,
    }
    pipeline: Any = SimpleNamespace(probability=lambda _: mask)
    shadow = gaussian_filter(np.sqrt(np.maximum(25.0 - (rows - 60.0) ** 2, 0)) * mask, 1.0)
    angiogram = Angiogram(1 - 0.1 * shadow, None, None, "", Path("tube.png"), "")
    (vessel,) = measure_vessels(pipeline, angiogram, TrueDiameters({"centrelines": [line]}))
    assert vessel.width_px == pytest.approx(11, abs=0.5) and vessel.known.mean() > 0.8
    assert vessel.diameter_px[vessel.known] == pytest.approx(np.full(vessel.known.sum(), 10))
    assert vessel.relative[vessel.known] == pytest.approx(np.full(vessel.known.sum(), 0.5))
    assert np.abs(vessel.offset_px[vessel.known]).max() < 0.5
    values = vessel.values()
    assert values.shape == (3, len(vessel.known), 33) and values[0, :, 16].mean() == pytest.approx(
        -1, abs=0.1
    )


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="none"):
        read_vessels(tmp_path / "none.npz")
