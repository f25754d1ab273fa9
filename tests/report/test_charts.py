"""Line charts: well formed, to scale, with gaps and names."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from monai_lora_sam.report import Series, line_chart
from monai_lora_sam.report.charts import Mark, Span, round_ticks


def parse(chart) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{chart}</div>")


def lines(chart) -> list[str]:
    return [path.get("d") for path in parse(chart).iter("path")]


def test_points_are_to_scale():
    (path,) = lines(line_chart([Series("a", [0, 5, 10], [0, 50, 100])], "x", "y"))
    x, y = np.array(re.findall(r"-?[\d.]+", path), dtype=float).reshape(3, 2).T
    assert x[1] == pytest.approx((x[0] + x[2]) / 2) and y[1] == pytest.approx((y[0] + y[2]) / 2)
    assert y[0] > y[2]  # upwards


@pytest.mark.parametrize("missing", [None, math.nan])
def test_missing_value_is_a_gap(missing):
    (path,) = lines(line_chart([Series("a", [0, 1, 2, 3, 4], [1, 2, missing, 2, 1])], "x", "y"))
    assert path.count("M") == 2 and path.count("L") == 2


@pytest.mark.parametrize(
    "values", [[], [None], [math.nan, math.nan], [3.0], [0.0, 0.0], [1e-9, 2e-9], [1e9, 1]]
)
def test_odd_values_still_give_a_chart(values):
    chart = line_chart([Series("a", list(range(len(values))), values)], "x", "y")
    assert "nan" not in str(chart) and "inf" not in str(chart)
    parse(chart)


def test_names_are_escaped_and_listed():
    chart = line_chart([Series("<b>&", [0, 1], [0, 1]), Series("two", [0, 1], [1, 0])], "x <", "y")
    root = parse(chart)
    assert root.find("ul/li").itertext().__next__() == "<b>&"
    assert len(root.findall("ul/li")) == 2
    assert root.find("svg").get("role") == "img"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.3, 0.77), (12, 13), (0, 733), (-4, 9)])
def test_ticks_are_round_enclose_the_values_and_are_few(low, high):
    ticks = round_ticks(np.array([low, high], dtype=float), from_zero=False)
    assert ticks[0] <= low + 1e-9 and ticks[-1] >= high - 1e-9
    assert 3 <= len(ticks) <= 8
    leading = float(f"{ticks[1] - ticks[0]:e}".split("e")[0])
    assert min(abs(leading - factor) for factor in (1, 2, 5, 10)) < 1e-6


def test_wrong_lines_are_refused():
    with pytest.raises(ValueError, match="line 'a': expected as many y as x, found 1 and 2"):
        line_chart([Series("a", [0, 1], [0])], "x", "y")
    with pytest.raises(ValueError, match="at most 6 lines, found 7"):
        line_chart([Series("a", [0], [0])] * 7, "x", "y")


def test_span_and_mark_lie_where_the_line_has_these_values():
    line = Series("a", [0, 4, 6, 10], [1, 1, 1, 1])
    root = parse(line_chart([line], "x", "y", spans=[Span("lesion", 6, 4)], marks=[Mark("MLD", 4)]))
    x = np.array(re.findall(r"[ML]([\d.]+)", root.find("svg/path").get("d")), dtype=float)
    rect = root.find("svg/rect")
    assert float(rect.get("x")) == pytest.approx(x[1], abs=0.11)
    assert float(rect.get("width")) == pytest.approx(x[2] - x[1], abs=0.11)
    (marker,) = [line for line in root.iter("line") if line.get("class") == "marker"]
    assert float(marker.get("x1")) == float(marker.get("x2")) == pytest.approx(x[1], abs=0.11)
    assert [key.itertext().__next__() for key in root.findall("ul/li")] == ["a", "lesion"]
    assert "MLD" in [text.text for text in root.iter("text")]


def test_what_lies_beyond_the_axis_is_cut_off():
    line = Series("a", [0, 10], [1, 1])
    root = parse(line_chart([line], "x", "y", spans=[Span("s", -99, 99)], marks=[Mark("far", 11)]))
    assert float(root.find("svg/rect").get("width")) == pytest.approx(720 - 64 - 26)
    assert not [line for line in root.iter("line") if line.get("class") == "marker"]


def test_a_dashed_line_is_dashed_in_the_legend_too():
    root = parse(line_chart([Series("a", [0], [0]), Series("b", [0], [0], dashed=True)], "x", "y"))
    assert [path.get("class") for path in root.iter("path")] == ["line", "line dashed"]
    assert [key.get("class") for key in root.iter("i")] == [None, "dashed"]


@pytest.mark.parametrize(
    ("epochs", "expected"), [([1], ["1", "2"]), ([1, 2, 3], ["1", "2", "3"]), ([1, 1.5], None)]
)
def test_whole_places_have_whole_ticks(epochs, expected):
    chart = line_chart([Series("a", epochs, [0] * len(epochs))], "epoch", "y")
    lowest = max(float(text.get("y", 0)) for text in parse(chart).iter("text") if text.text == "1")
    found = [text.text for text in parse(chart).iter("text") if float(text.get("y", 0)) == lowest]
    assert found == expected if expected else "1.1" in found


def test_given_ticks_take_the_place_of_round_numbers():
    chart = line_chart([Series("a", [2, 3, 4], [1, 2, 3])], "rank", "y", x_ticks={2: "4", 3: "8", 4: "<16>"})
    labels = [text for text in parse(chart).iter("text") if text.get("text-anchor") == "middle"]
    names = {text.text: float(text.get("x")) for text in labels if text.get("x") and text.text != "rank"}
    (path,) = lines(chart)
    assert list(names) == ["4", "8", "<16>"]
    x = np.array(re.findall(r"-?[\d.]+", path), dtype=float)[::2]
    assert list(names.values()) == pytest.approx(x)
    with pytest.raises(ValueError, match="two or more ticks"):
        line_chart([Series("a", [2], [1])], "x", "y", x_ticks={2: "4"})
