"""Reference lines of diameters that are known by formula."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.qca.reference import SideBranch, reference_line, without_overlaps

ARC = np.arange(0.0, 200.0, 0.5)
ALL = np.ones(len(ARC), dtype=bool)


def test_an_even_taper_is_its_own_reference():
    diameter = 10 * np.exp(-0.001 * ARC)
    assert reference_line(ARC, diameter, ALL) == pytest.approx(diameter, rel=0.01)


def test_a_stenosis_does_not_draw_the_line_down():
    healthy = np.full(len(ARC), 10.0)
    narrowed = healthy - 6 * np.exp(-(((ARC - 100) / 12) ** 2))
    assert reference_line(ARC, narrowed, ALL) == pytest.approx(healthy, rel=0.03)


def test_a_side_branch_lets_the_line_step_down_by_murray_s_law():
    before, side = 10.0, 7.0
    behind = (before**3 - side**3) ** (1 / 3)
    diameter = np.where(ARC < 100, before, behind)
    line = reference_line(ARC, diameter, ALL, [SideBranch(100.0, side)])
    assert line[ARC < 90] == pytest.approx(before, rel=0.03)
    assert line[ARC > 120] == pytest.approx(behind, rel=0.03)


def test_widening_is_refused_only_where_the_direction_is_known():
    widening = 8 * np.exp(0.001 * ARC)
    assert np.all(np.diff(reference_line(ARC, widening, ALL)) <= 1e-9)
    assert reference_line(ARC, widening, ALL, direction_known=False) == pytest.approx(widening, rel=0.02)


def test_too_few_points_have_no_reference():
    usable = np.zeros(len(ARC), dtype=bool)
    usable[:3] = True
    assert np.isnan(reference_line(ARC, np.full(len(ARC), 5.0), usable)).all()


def test_a_short_wide_stretch_is_left_out_as_an_overlap():
    mask = np.zeros((80, 260), dtype=bool)
    mask[36:44, 10:250] = True
    mask[33:47, 120:138] = True
    (profile,) = measure(mask).profiles
    wide = (profile.points_rc[:, 1] > 122) & (profile.points_rc[:, 1] < 135)
    assert profile.overlapped[wide].all() and not profile.is_measured[wide].any()
    assert not profile.overlapped[profile.points_rc[:, 1] < 110].any()
    assert without_overlaps(profile) is profile  # nothing is left to leave out
