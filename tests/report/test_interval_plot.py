"""Plots of intervals: places on the axis, gaps, names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from monai_lora_sam.report import Interval, interval_plot


def test_values_means_and_intervals_lie_on_one_axis() -> None:
    rows = {
        "<a>": Interval(0.5, 0.4, 0.6, [0.4, 0.6]),
        "none": Interval(None, None, None, []),
        "a name of many words that no plot has enough room for": Interval(0.6, 0.6, 0.6, [0.6]),
    }
    text = interval_plot(rows, "Dice & more", "title")
    ElementTree.fromstring(text)
    means, values = (
        [float(x) for x in re.findall(rf'class="{kind}" cx="([\d.]+)"', text)] for kind in ("mean", "value")
    )
    (start, end), (point, same) = (
        tuple(map(float, found)) for found in re.findall(r'd="M([\d.]+) [\d.]+H([\d.]+)"', text)
    )
    assert values == [start, end, end] and means == [pytest.approx((start + end) / 2, abs=0.1), end]
    assert point == same == end
    assert "&lt;a&gt;" in text and "Dice &amp; more" in text and "has enough…" not in text and "…<" in text
    ticks = {
        float(label): float(x) for x, label in re.findall(r'<text x="([\d.]+)"[^>]*>([\d.]+)</text>', text)
    }
    assert ticks[0.4] == start and ticks[0.6] == end


def test_without_rows_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="expected at least one row"):
        interval_plot({}, "Dice")
