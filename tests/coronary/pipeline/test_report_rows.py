"""Rows of a report for measured lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.pipeline.report_rows import lesion_rows, report_warnings
from monai_lora_sam.coronary.qca import measure


def narrowed_vessel_with_a_branch() -> np.ndarray:
    """Draw a vessel of 14 px, narrowed around column 120, and a branch that leaves beside it."""
    rows, columns = np.mgrid[:120, :240].astype(float)
    bump = np.cos(np.clip((columns - 120) / 30, -1, 1) * np.pi / 2) ** 2
    vessel = (columns >= 10) & (columns <= 230) & (np.abs(rows - 40) <= 7 * (1 - 0.6 * bump))
    branch = (np.abs(columns - 104 - (rows - 40) / 3) <= 3.5) & (rows > 40) & (rows < 110)
    return vessel | branch


def test_walls_of_another_vessel_are_not_drawn_as_the_lesion_s():
    measurement = measure(narrowed_vessel_with_a_branch(), pixel_spacing_mm=0.3)
    detection = {
        "score": 0.8,
        "box_xyxy": (80.0, 25.0, 160.0, 55.0),
        "centre_xy": (120.0, 40.0),
        "percent_diameter_stenosis": 58.0,
        "mld_px": 5.0,
    }
    (row,) = lesion_rows([detection], measurement, None, 3.0)
    profile = row["profile"]
    assert row["percent_diameter_stenosis"] == pytest.approx(60, abs=9)  # drawn on whole pixels
    beside = [diameter is None for diameter in profile["diameter_px"]]
    assert any(beside) and not all(beside)
    arc = profile["arc_length_px"]
    marks = {
        int(np.argmin(np.abs(np.array(arc) - profile[name])))
        for name in ("proximal_border_px", "mld_position_px", "distal_border_px")
    }
    for wall in ("left_wall_xy", "right_wall_xy"):
        missing = {index for index, point in enumerate(profile[wall]) if point is None}
        assert missing == {index for index, hidden in enumerate(beside) if hidden} - marks
        rows = [point[1] for point in profile[wall] if point is not None]
        assert max(abs(row - 40) for row in rows) < 9  # nowhere down the branch


@pytest.mark.parametrize(
    ("box", "contours", "words"),
    [
        ((180.0, 25.0, 220.0, 55.0), pytest.approx(0, abs=4), "no stenosis could be delineated there"),
        ((180.0, 80.0, 220.0, 110.0), None, "no vessel could be measured there"),
    ],
)
def test_a_detection_without_a_measured_stenosis_keeps_the_network_s_figures(box, contours, words):
    measurement = measure(narrowed_vessel_with_a_branch(), pixel_spacing_mm=0.3)
    detection = {
        "score": 0.8,
        "box_xyxy": box,
        "centre_xy": (200.0, 40.0),
        "percent_diameter_stenosis": 58.0,
        "mld_px": 5.0,
    }
    (row,) = lesion_rows([detection], measurement, None)
    assert row["measured_by"] == "network" and row["percent_diameter_stenosis"] == 58.0
    assert row["mld_mm"] == pytest.approx(1.5)
    assert row["percent_diameter_stenosis_contours"] == contours
    angiogram = Angiogram(np.zeros((120, 240), np.float32), (0.0, 0.0), 0.3, "XA", Path("a.png"))
    warnings = report_warnings(angiogram, {"vessels": {"area_px": 1}, "lesions": [row]})
    assert any(warning.startswith(f"Lesion 1: {words}") for warning in warnings)
