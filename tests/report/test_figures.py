"""Tables of measurements: units, missing values, intervals."""

from __future__ import annotations

import pytest

from monai_lora_sam.report import figure_table
from monai_lora_sam.report.figures import figure

COLUMNS = {"id": "Number", "length": "Length", "length_interval": "Length, 95 %", "area": "Area"}


def test_millimetres_go_before_pixels_and_empty_columns_are_left_out():
    rows = [
        {"id": 1, "length_px": 5.0, "length_mm": 1.0, "length_mm_interval": [0.9, 1.1]},
        {"id": 2, "length_px": 6.0, "length_mm": None},
    ]
    table = figure_table(rows, COLUMNS)
    assert list(table.columns) == ["Number", "Length (mm)", "Length, 95 % (mm)"]
    assert table.rows == [[1, 1.0, "0.90–1.10"], [2, None, None]]


def test_pixels_where_no_spacing_is_known():
    assert list(figure_table([{"length_px": 5.0}], COLUMNS).columns) == ["Length (px)"]
    assert figure_table([], COLUMNS).columns == []


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("percent_change", 61.6, 62),
        ("percent_change_interval", [55.4, 67.9], "55–68"),
        ("length_mm", 1.25, 1.25),
        ("length_mm", None, None),
    ],
)
def test_figures_as_a_table_shows_them(key, value, text):
    assert figure(key, value) == text
