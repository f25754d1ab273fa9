"""The course of a lesion on a straight vessel, whose length and place are known."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom.dataset import CENTRELINE_STRIDE
from monai_lora_sam.coronary.phantom.heart import SAMPLE_STEP_MM
from monai_lora_sam.coronary.phantom.lesion_line import lesion_line, share_beside
from monai_lora_sam.coronary.phantom.lesions import stenosis_profile

STEP_MM = CENTRELINE_STRIDE * SAMPLE_STEP_MM
PX_PER_MM = 4.0
LENGTH_MM = 10.0


def truth(middle_mm=20.0):
    arc = np.arange(0.0, 40.0, STEP_MM)
    reference = np.full(len(arc), 3.0)
    diameter = reference * stenosis_profile(arc, middle_mm, LENGTH_MM, 50.0)
    x = 20.0 + PX_PER_MM * arc
    points = np.column_stack([x, np.full(len(arc), 50.0)])
    line = {
        "points_xy_px": points.tolist(),
        "diameter_mm": diameter.tolist(),
        "reference_diameter_mm": reference.tolist(),
        "diameter_px": (PX_PER_MM * diameter).tolist(),
    }
    lesion = {
        "centre_xy_px": [20.0 + PX_PER_MM * middle_mm, 50.0],
        "length_mm": LENGTH_MM,
        "minimum_lumen_diameter_mm": 1.5,
        "minimum_lumen_diameter_px": 1.5 * PX_PER_MM,
    }
    return {"centrelines": [line]}, lesion


def mask(*rows):
    vessels = np.zeros((120, 240), bool)
    vessels[44:57, 15:] = True
    for row in rows:
        vessels[row, :] = True
    return vessels


def test_the_course_of_a_lesion_across_the_rays():
    line = lesion_line(*truth())
    assert line.length_px == pytest.approx(LENGTH_MM * PX_PER_MM, rel=1e-6)
    assert line.foreshortening == pytest.approx(1.0)
    np.testing.assert_allclose(line.points_rc[[0, -1]], [[50.0, 80.0], [50.0, 120.0]], atol=0.5)
    assert line.diameter_px.min() == pytest.approx(1.5 * PX_PER_MM, rel=0.1)  # sampled each 1.6 mm


def test_a_lesion_that_reaches_past_the_vessel_has_none():
    assert lesion_line(*truth(middle_mm=2.0)) is None


def test_the_share_beside_which_another_vessel_lies():
    line = lesion_line(*truth())
    free = mask()
    free[44:57] = False
    free[48:53, 15:] = True  # narrower than the lumen, so that nothing of it lies beside
    assert share_beside(free, line) == 0.0
    beside = free.copy()
    beside[52:64, 80:100] = True  # half of the lesion
    assert share_beside(beside, line) == pytest.approx(0.5, abs=0.1)
    assert share_beside(np.zeros((120, 240), bool), line) is None
    assert share_beside(np.ones((52, 240), bool), line) is None  # at the picture's border
