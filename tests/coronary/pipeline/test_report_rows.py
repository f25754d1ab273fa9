"""Rows of a report for measured lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.pipeline.report_rows import lesion_rows, proven_estimates, report_warnings
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
        ((180.0, 25.0, 220.0, 55.0), pytest.approx(0, abs=4), "no stenosis could be delineated there, "),
        ((180.0, 80.0, 220.0, 110.0), None, "no vessel could be measured there"),
    ],
)
@pytest.mark.parametrize("estimates", [(), ("percent_diameter_stenosis", "mld_px")])
def test_a_detection_without_a_measured_stenosis_has_no_figure(box, contours, words, estimates):
    measurement = measure(narrowed_vessel_with_a_branch(), pixel_spacing_mm=0.3)
    detection = {
        "score": 0.8,
        "box_xyxy": box,
        "centre_xy": (200.0, 40.0),
        "percent_diameter_stenosis": 58.0,
        "mld_px": 5.0,
    }
    (row,) = lesion_rows([detection], measurement, None, estimates=estimates)
    for figure in ("percent_diameter_stenosis", "mld_px", "mld_mm", "measured_by"):
        assert row[figure] is None, figure
    assert row["not_measurable_because"].startswith(words)
    assert row["percent_diameter_stenosis_contours"] == contours
    assert row["percent_diameter_stenosis_network"] == (58.0 if estimates else None)
    assert row["mld_px_network"] == (5.0 if estimates else None)
    angiogram = Angiogram(np.zeros((120, 240), np.float32), (0.0, 0.0), 0.3, "XA", Path("a.png"))
    warnings = report_warnings(angiogram, {"vessels": {"area_px": 1}, "lesions": [row]})
    assert any(warning.startswith(f"Not measurable: lesion 1 ({words}") for warning in warnings)


def test_an_estimate_is_proven_by_an_error_below_that_of_a_constant():
    metrics = {"val_percent_error": 15.2, "val_percent_error_of_constant": 15.5, "val_mld_error": 1.4}
    assert proven_estimates({"metrics": metrics}) == ["percent_diameter_stenosis"]
    assert proven_estimates({"metrics": metrics | {"val_percent_error": 15.5}}) == []
    assert proven_estimates({"metrics": metrics | {"val_percent_error_of_constant": None}}) == []
    assert proven_estimates({"metrics": {"phantom_percent_error": 13.9}}) == []
    assert proven_estimates({}) == []


def test_warnings_say_each_kind_once():
    row = {
        "score": 0.4,
        "not_measurable_because": "no vessel could be measured there",
        "percent_diameter_stenosis": None,
        "percent_diameter_stenosis_network": None,
    }
    measured = {"not_measurable_because": None, "percent_diameter_stenosis": 70.0}
    measured |= {"percent_diameter_stenosis_network": 20.0}
    lesions = [row | {"id": 1}, row | {"id": 2}, row | measured | {"id": 3}]
    angiogram = Angiogram(np.zeros((120, 240), np.float32), (0.0, 0.0), 0.3, "XA", Path("a.png"))
    assert report_warnings(angiogram, {"vessels": {"area_px": 1}, "lesions": lesions})[-3:] == [
        "Low confidence: lesions 1 (score 0.40), 2 (score 0.40), 3 (score 0.40).",
        "Not measurable: lesions 1 (no vessel could be measured there), 2 (no vessel could be measured there).",
        "Contours and network disagree on the %DS: lesion 3 (70 % and 20 %).",
    ]
