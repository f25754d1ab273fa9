"""Figures of lesions, from diameters that are known by formula."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import measure, with_units
from monai_lora_sam.coronary.qca.lesion import lesions_of, rounded, xy
from monai_lora_sam.coronary.qca.stenosis import Stenosis, inside_stenoses


def straight_profile():
    """Return the profile of a bar, 10 px wide and 240 px long."""
    mask = np.zeros((60, 260), dtype=bool)
    mask[25:35, 10:250] = True
    (profile,) = measure(mask).profiles
    return profile


def test_figures_follow_from_diameter_and_reference():
    profile = straight_profile()
    (lesion,) = lesions_of(profile, [Stenosis(100, 120, 140, 4.0, False)])
    reference = profile.reference_px[120]
    assert reference == pytest.approx(10, abs=0.2)
    assert lesion.percent_diameter_stenosis == pytest.approx(100 * (1 - 4 / reference))
    assert lesion.percent_area_stenosis == pytest.approx(100 * (1 - (4 / reference) ** 2))
    assert lesion.length_px == pytest.approx(20, abs=0.1)
    assert lesion.averaged_reference_px == pytest.approx(10, abs=0.2)
    left, top, right, bottom = lesion.box_xyxy
    assert right - left == pytest.approx(30, abs=1) and bottom - top == pytest.approx(10, abs=1)


@pytest.mark.parametrize(("apart_px", "count"), [(25.0, 1), (35.0, 2)])  # three diameters are 30 px
def test_stenoses_less_than_three_diameters_apart_are_one_lesion(apart_px, count):
    first = Stenosis(60, 70, 80, 5.0, False)
    begin = 80 + int(apart_px / 0.5)
    second = Stenosis(begin, begin + 10, begin + 20, 3.0, False)
    lesions = lesions_of(straight_profile(), [first, second], first_id=4)
    assert [lesion.id for lesion in lesions] == [4, 5][:count]
    assert lesions[-1].minimum_lumen_diameter_px == 3.0  # of the narrower one


def test_json_has_intervals_only_with_a_calibration_error():
    (lesion,) = lesions_of(straight_profile(), [Stenosis(100, 120, 140, 4.0, False)])
    plain, full = lesion.to_json(), lesion.to_json(0.25, 3.0)
    json.dumps([plain, full], allow_nan=False)
    assert not [key for key in plain if key.endswith(("_mm", "_interval"))]
    assert full["mld_mm"] == 1.0
    low, high = full["mld_mm_interval"]
    assert low < 1.0 < high
    assert plain["stenoses"][0]["mld_px"] == 4.0


def test_lengths_name_their_unit():
    assert with_units({"mld": 4.0, "rvd": None}, 0.25) == {
        "mld_px": 4.0,
        "mld_mm": 1.0,
        "rvd_px": None,
        "rvd_mm": None,
    }
    assert with_units({"mld": 4.0}, None) == {"mld_px": 4.0}
    assert rounded(np.nan) is None and rounded(1.23456) == 1.235
    assert xy(np.array([1.0, 2.0])) == [2.0, 1.0]


def test_inside_has_both_borders():
    inside = inside_stenoses([Stenosis(1, 2, 3, 1.0, False), Stenosis(5, 5, 5, 1.0, False)], 7)
    assert inside.tolist() == [False, True, True, True, False, True, False]
