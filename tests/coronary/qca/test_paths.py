"""Branches of drawn trees joined to vessels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from monai_lora_sam.coronary.qca.paths import SPACING_PX, VesselPath, beside_others, join_at, vessel_paths
from monai_lora_sam.coronary.qca.tips import Tip
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree


def tip(branch: int, degrees: float, radius_px: float = 4.0, label: int = 0) -> Tip:
    """Return the tip at (0, 0) of a branch that runs off in a direction."""
    away = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
    return Tip(branch, True, np.zeros(2), -away, radius_px, radius_px, radius_px, label)


def branches(pairs) -> set[frozenset[int]]:
    return {frozenset((one.branch, other.branch)) for one, other in pairs}


def paths_in(mask: np.ndarray) -> list[VesselPath]:
    tree = build_vessel_tree(mask)
    return vessel_paths(tree, distance_transform_edt(mask), [0] * len(tree.branches))


def test_of_three_branches_the_straight_and_wide_ones_go_on():
    assert branches(join_at([tip(0, 180), tip(1, 5), tip(2, 60, 2.0)])) == {frozenset((0, 1))}


def test_labels_go_before_angles():
    assert branches(join_at([tip(0, 180, label=6), tip(1, 5, label=9), tip(2, 40, label=6)])) == {
        frozenset((0, 2))
    }


def test_four_branches_that_are_straight_cross():
    tips = [tip(0, 0), tip(1, 80), tip(2, 180), tip(3, 260)]
    assert branches(join_at(tips)) == {frozenset((0, 2)), frozenset((1, 3))}


def test_nothing_is_joined_around_a_sharp_corner_or_alone():
    assert join_at([tip(0, 0), tip(1, 60)]) == [] and join_at([tip(0, 0)]) == []


def test_a_vessel_goes_on_past_a_side_branch():
    mask = np.zeros((120, 200), dtype=bool)
    mask[46:54, 10:190] = True
    mask[50:110, 98:102] = True
    stem, side = paths_in(mask)
    assert [stem.id, side.id] == [0, 1]
    assert len(stem.branches) == 2 and len(side.branches) == 1
    assert np.diff(stem.line.arc_length) == pytest.approx(SPACING_PX, abs=0.01)
    assert stem.line.length == pytest.approx(172, abs=3)  # a radius short of either end
    beside, beside_side = beside_others([stem, side], [], distance_transform_edt(mask))
    columns = stem.points_rc[beside, 1]
    assert 86 < columns.min() < 98 and 102 < columns.max() < 114  # the mouth, and a radius on either side
    assert beside_side.any() and not beside_side.all()


def test_normals_of_a_loop_point_to_its_middle():
    radius = np.hypot(*(np.indices((120, 120)) - 60.0))
    (ring,) = paths_in((radius > 37) & (radius < 44))
    assert ring.closed
    towards = (ring.points_rc - 60) / np.linalg.norm(ring.points_rc - 60, axis=1, keepdims=True)
    assert np.abs((ring.normals * towards).sum(axis=1)) == pytest.approx(1, abs=0.01)
    assert ring.normals[0] == pytest.approx(ring.normals[-1], abs=1e-9)
