"""The summary of a picture's vessels as a report holds it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import measure, summarise_tree
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree


def straight_vessel() -> np.ndarray:
    """Return a mask (60, 160) of one vessel, 8 px wide and 140 px long."""
    mask = np.zeros((60, 160), dtype=bool)
    mask[26:34, 10:150] = True
    return mask


def summary_of(mask: np.ndarray, pixel_spacing_mm: float | None = None) -> dict:
    tree = build_vessel_tree(mask)
    return summarise_tree(tree, measure(mask, pixel_spacing_mm=pixel_spacing_mm, tree=tree))


def test_summary_is_json_and_names_its_units():
    summary = summary_of(straight_vessel(), 0.25)
    json.dumps(summary, allow_nan=False)
    assert summary["area_px"] == 8 * 140 and summary["area_fraction"] == pytest.approx(8 * 140 / (60 * 160))
    assert summary["components"] == 1 and summary["bifurcations"] == 0
    assert summary["centreline_length_mm"] == pytest.approx(summary["centreline_length_px"] * 0.25, abs=1e-3)
    (vessel,) = summary["branches"]
    assert vessel["id"] == 1
    for name in ("minimum", "median", "maximum"):
        assert vessel[f"{name}_diameter_px"] == pytest.approx(8, abs=0.2)
        assert vessel[f"{name}_diameter_mm"] == pytest.approx(2, abs=0.05)
    assert vessel["length_mm"] == pytest.approx(vessel["length_px"] * 0.25, abs=1e-3)
    assert vessel["middle_xy"] == pytest.approx([79.5, 29.5], abs=1)
    profile = vessel["profile"]
    assert len(profile["diameter_px"]) == len(profile["arc_length_px"])
    assert profile["arc_length_px"][-1] == vessel["length_px"]
    assert profile["diameter_px"][0] is None  # at an end


def test_summary_without_spacing_has_no_millimetres():
    assert "_mm" not in json.dumps(summary_of(straight_vessel()))


def test_summary_of_an_empty_tree():
    summary = summary_of(np.zeros((8, 8), dtype=bool))
    assert summary["branches"] == [] and summary["centreline_length_px"] == 0


def test_a_vessel_that_could_not_be_measured_has_no_diameters():
    mask = np.zeros((60, 60), dtype=bool)
    mask[:6, 5:55] = True  # along the picture's border
    (vessel,) = summary_of(mask)["branches"]
    assert vessel["median_diameter_px"] is None and vessel["length_px"] > 30


def test_a_result_of_another_picture_is_refused():
    tree = build_vessel_tree(straight_vessel())
    with pytest.raises(ValueError, match=r"expected a result of a picture of \(60, 160\), found \(8, 8\)"):
        summarise_tree(tree, measure(np.zeros((8, 8))))
