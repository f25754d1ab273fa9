"""Tables of measurements: the unit that is known, and numbers as a reader wants them."""

from __future__ import annotations

from monai_lora_sam.report.figures import figure, figure_table

COLUMNS = {
    "segment": "segment",
    "mld": "MLD",
    "percent_diameter_stenosis": "%DS",
    "mld_interval": "MLD interval",
}


def test_millimetres_go_before_pixels():
    table = figure_table([{"mld_px": 5.0, "mld_mm": 1.0}, {"mld_px": 6.0}], COLUMNS)
    assert table.columns == ["MLD (mm)"] and table.rows == [[1.0], [None]]
    assert figure_table([{"mld_px": 5.0}], COLUMNS).columns == ["MLD (px)"]


def test_columns_without_any_value_are_left_out():
    table = figure_table([{"segment": "6", "percent_diameter_stenosis": 61.7}], COLUMNS)
    assert table.columns == ["segment", "%DS"] and table.rows == [["6", 62]]
    assert figure_table([], COLUMNS).columns == []


def test_intervals():
    table = figure_table([{"mld_mm_interval": [0.9, 1.2]}], COLUMNS)
    assert table.columns == ["MLD interval (mm)"] and table.rows == [["0.90–1.20"]]
    assert figure("percent_diameter_stenosis_interval", [49.6, 70.2]) == "50–70"
    assert figure("mld_mm", None) is None
