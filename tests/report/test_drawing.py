"""SVG drawings parsed by an XML parser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
from skimage.draw import polygon

from monai_lora_sam.report import centred, outline, polyline, svg


def test_a_line_has_gaps_where_points_are_unknown():
    line = ElementTree.fromstring(
        polyline([(0, 1), (2, 3), None, (4, 5), (np.nan, 1), (6, 7)], "red", "across")
    )
    assert line.get("d") == "M0.00 1.00L2.00 3.00M4.00 5.00M6.00 7.00"
    assert line.get("stroke") == "red" and line.get("class") == "across"


def test_a_cased_line_is_drawn_twice():
    parts = ElementTree.fromstring(f"<g>{polyline([(0, 1), (2, 3)], 'red', 'across', cased=True)}</g>")
    assert [part.get("class") for part in parts] == ["casing", "across"]
    assert parts[0].get("d") == parts[1].get("d")


def test_an_outline_encloses_its_mask():
    mask = np.zeros((12, 16), bool)
    mask[3:8, 4:11] = True
    path = ElementTree.fromstring(outline(mask, "#ff0000", filled=True)).get("d")
    x, y = np.array(re.findall(r"([\d.]+) ([\d.]+)", path), float).T
    drawn = np.zeros_like(mask)
    drawn[polygon(y - 0.5, x - 0.5, mask.shape)] = True
    np.testing.assert_array_equal(drawn, mask)


def test_the_window_of_a_drawing():
    assert ElementTree.fromstring(svg((12, 16), [])).get("viewBox") == "0 0 16 12"
    assert ElementTree.fromstring(svg((12, 16), [], (2, 3, 4, 5))).get("viewBox") == "2 3 4 5"


def test_text_is_escaped_and_pixels_are_centred():
    group = ElementTree.fromstring(centred([polyline([(0, 0)], "a<b", "c")]))
    assert group.get("transform") == "translate(.5 .5)"
    assert group[0].get("stroke") == "a<b"
