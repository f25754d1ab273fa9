"""Agreement between views of one tree: figures by hand, and names and %DS read off a result."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES


def test_five_views_show_the_same_tree_with_the_same_lesions(script):
    views = script("bench_views").project_tree(4)
    assert len({view.view for view in views}) == 5 and {view.side for view in views} == {"left"}
    (degrees,) = {tuple(lesion.percent_diameter_stenosis for lesion in view.lesions) for view in views}
    assert degrees and all(30 <= value <= 92 for value in degrees)


def test_agreement_is_that_by_hand(script):
    views = [
        {"names": {"6": "6", "7": "7"}, "percent": {0: 50.0, 1: None}},
        {"names": {"6": "6", "7": "8"}, "percent": {0: 56.0, 1: float("nan")}},
        {"names": {"6": None}, "percent": {0: 53.0}},
    ]
    figures = script("bench_views").agreement([views])
    assert figures["names_agree"] == 0.5 and figures["pairs_of_names"] == 2
    assert figures["names_right"] == 0.6 and figures["stenoses_found"] == 0.8
    assert figures["percent_difference"] == 4.0 and figures["pairs_of_percents"] == 3
    assert script("bench_views").agreement([])["names_agree"] is None


def test_true_names_and_lesions_are_read_off_a_result(script):
    bench = script("bench_views")
    phantom = bench.project_tree(4)[0]
    lesion = phantom.lesions[0]
    row, column = lesion.centre_rc_px
    found = {"box_xy": [column - 9, row - 4, column + 1, row + 6], "percent_diameter_stenosis": 61.0}
    far = {"box_xy": [column + 30, row, column + 40, row], "percent_diameter_stenosis": 10.0}
    result = SimpleNamespace(
        segments=phantom.segment_mask, vessels=phantom.vessel_mask, report={"lesions": [far, found]}
    )
    names = bench.found_names(result, phantom)
    assert sum(name == true for true, name in names.items()) >= 0.8 * len(names)
    assert set(names) <= set(ARCADE_CLASS_NAMES)
    assert bench.found_percents(result, phantom)[0] == 61.0
    result.segments = np.zeros_like(phantom.segment_mask)
    assert set(bench.found_names(result, phantom).values()) == {None}
    result.segments = None
    with pytest.raises(ValueError, match="expected a stage 2"):
        bench.found_names(result, phantom)
