"""Box plots: quartiles and whiskers at their analytic places, odd values, bad input."""

from __future__ import annotations

import re

import numpy as np
import pytest

from monai_lora_sam.report import box_plot
from monai_lora_sam.report.box_plot import LEFT, RIGHT, WIDTH


def place(value: float) -> str:
    return f"{LEFT + value * (WIDTH - LEFT - RIGHT):.1f}"


def test_boxes_show_quartiles_and_values_far_off() -> None:
    values = [*np.linspace(0.4, 0.8, 41), 0.0]
    chart = str(box_plot({"<box>": values}, "Dice"))
    first, median, third = np.percentile(values, (25, 50, 75))
    assert f'<rect style="stroke:var(--series-1);stroke-width:1.5;fill:none" x="{place(first)}"' in chart
    assert f'd="M{place(median)} ' in chart
    assert f"M{place(0.4)} " in chart and f"H{place(0.8)}" in chart and f"M{place(third)} " in chart
    assert re.findall(r'<circle [^>]*cx="([\d.]+)"', chart) == [place(0.0)]
    assert "&lt;box&gt;" in chart and "<box>" not in chart


def test_groups_without_values_keep_their_row() -> None:
    chart = str(box_plot({"none": [float("nan")], "one": [0.5]}, "Dice"))
    assert "none" in chart and chart.count("<rect") == 1


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one: expected values from 0\.0 to 1\.0, found 0\.5 to 1\.5"):
        box_plot({"one": [0.5, 1.5]}, "Dice")
    with pytest.raises(ValueError, match="expected groups and an axis, found 0 groups"):
        box_plot({}, "Dice")
