"""Drawings as SVG: well formed, in pixels of the picture, with gaps where a point is unknown."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from monai_lora_sam.report import centred, outline, polyline, svg


def test_the_picture_or_a_window_is_the_frame():
    assert ElementTree.fromstring(svg((30, 40), [])).get("viewBox") == "0 0 40 30"
    assert ElementTree.fromstring(svg((30, 40), [], (5, 6, 7, 8))).get("viewBox") == "5 6 7 8"


def test_a_line_is_lifted_where_a_point_is_unknown():
    line = polyline([(0, 0), (1, 2), None, (3, float("nan")), (4, 5), (6, 7)], "#123456", "wall")
    path = ElementTree.fromstring(line)
    assert path.get("d") == "M0.00 0.00L1.00 2.00M4.00 5.00L6.00 7.00"
    assert path.get("class") == "wall" and path.get("stroke") == "#123456"
    cased = ElementTree.fromstring(svg((9, 9), [polyline([(0, 0), (1, 1)], "red", "wall", cased=True)]))
    assert [part.get("class") for part in cased] == ["casing", "wall"]


def test_the_outline_of_a_rectangle_lies_around_its_pixels():
    mask = np.zeros((20, 20), bool)
    mask[5:11, 4:15] = True
    path = ElementTree.fromstring(outline(mask, "red", filled=True))
    numbers = np.array([float(n) for n in path.get("d", "").translate(str.maketrans("MLZ,", "    ")).split()])
    x, y = numbers.reshape(-1, 2).T
    assert (x.min(), x.max(), y.min(), y.max()) == (4.0, 15.0, 5.0, 11.0)
    assert "fill:red" in path.get("style", "")


def test_text_from_outside_is_escaped():
    assert "<script>" not in outline(np.zeros((3, 3), bool), '"><script>')
    assert "translate(.5 .5)" in centred([Markup("<g/>")])
