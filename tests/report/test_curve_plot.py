"""Curves with intervals: places on the axes, and refused inputs."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from monai_lora_sam.report import Interval, Place, curve_plot

CURVES = {
    "lora": [Place(5, Interval(0.6, 0.5, 0.7, [0.55, 0.65])), Place(100, Interval(0.8, 0.75, 0.85, [0.8]))],
    "<nnunet>": [Place(100, Interval(0.7, 0.6, 0.8, [0.7]))],
    "failed": [Place(5, Interval(None, None, None))],
}


def _means(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'class="mean" cx="([\d.]+)" cy="([\d.]+)"', svg)]


@pytest.mark.parametrize("log_x", [False, True])
def test_means_lie_where_their_values_are(log_x):
    svg = curve_plot(CURVES, "images", "Dice", "A & B", log_x)
    root = ElementTree.fromstring(svg)
    assert "A & B" in {element.text for element in root.iter()}
    few, many, other = _means(svg)
    assert few[0] < other[0] - 100 and many[0] == pytest.approx(other[0] - 5)
    assert few[1] > other[1] > many[1]  # y points down
    assert (few[1] - other[1]) == pytest.approx(other[1] - many[1], abs=0.2)
    assert svg.count('class="value"') == 4


def test_a_place_of_zero_has_no_logarithm():
    with pytest.raises(ValueError, match="expected places above 0"):
        curve_plot({"a": [Place(0, Interval(0.5, 0.4, 0.6))]}, "x", "y", log_x=True)
    with pytest.raises(ValueError, match="expected at least one place"):
        curve_plot({"a": []}, "x", "y")
