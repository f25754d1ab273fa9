"""Bland-Altman plots: one dot a pair, bias and limits at their values."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from monai_lora_sam.report import bland_altman


def test_dots_bias_and_limits():
    rng = np.random.default_rng(0)
    true = rng.uniform(1, 4, 50)
    pairs = list(zip((true + 0.2 + rng.normal(0, 0.1, 50)).tolist(), true.tolist(), strict=True))
    svg = bland_altman(pairs, "MLD (mm)")
    root = ElementTree.fromstring(svg)
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 50
    difference = np.array(pairs) @ [1, -1]
    bias, deviation = difference.mean(), difference.std(ddof=1)
    shown = {name: float(value) for name, value in re.findall(r">(bias|lower|upper) ([+-][\d.]+)<", svg)}
    assert shown == {
        "bias": round(bias, 2),
        "lower": round(bias - 1.96 * deviation, 2),
        "upper": round(bias + 1.96 * deviation, 2),
    }
    assert "50 pairs" in svg and "MLD (mm)" in svg


def test_no_pairs_draw_an_empty_plot():
    assert "0 pairs" in bland_altman([], "%DS")
    ElementTree.fromstring(bland_altman([(1.0, 1.0)], "a < b"))
