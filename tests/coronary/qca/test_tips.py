"""Ends of drawn branches, and which of them face each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from monai_lora_sam.coronary.qca.tips import facing_ends, tips_of, values_at
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree


def tips_in(mask: np.ndarray):
    tree = build_vessel_tree(mask)
    return tips_of(tree, distance_transform_edt(mask), [7] * len(tree.branches))


def bars(gap: int, shift: int = 0) -> np.ndarray:
    """Return a mask (80, 240) of two horizontal bars, 8 px wide, with a gap between them."""
    mask = np.zeros((80, 240), dtype=bool)
    mask[36:44, 10:100] = True
    mask[36 + shift : 44 + shift, 100 + gap : 230] = True
    return mask


def test_tips_of_a_bar_point_outwards():
    mask = np.zeros((60, 160), dtype=bool)
    mask[26:34, 10:150] = True
    left, right = sorted(tips_in(mask).values(), key=lambda tip: tip.position[1])
    assert left.outward == pytest.approx([0, -1], abs=0.05) and right.outward == pytest.approx(
        [0, 1], abs=0.05
    )
    for tip in (left, right):
        assert tip.position[0] == pytest.approx(29.5, abs=0.6)
        assert tip.radius_px == pytest.approx(4, abs=0.5)
        assert tip.label == 7
    assert left.branch == right.branch and left.at_start != right.at_start


@pytest.mark.parametrize(
    ("gap", "shift", "pairs"),
    [(4, 0, 1), (30, 0, 1), (80, 0, 0), (30, 25, 0)],  # 8 px wide: at most 64 px, and in line
)
def test_ends_face_each_other_over_a_gap_in_line(gap, shift, pairs):
    mask = bars(gap, shift)
    found = facing_ends(tips_in(mask).values(), mask.astype(np.float32))
    assert len(found) == pairs
    for one, other in found:
        columns = sorted((one.position[1], other.position[1]))
        assert columns[0] < 100 <= 100 + gap <= columns[1] + 1


def test_another_vessel_in_the_gap_keeps_the_ends_apart():
    tips = tips_in(bars(20))
    probability = bars(20).astype(np.float32)
    probability[:, 104:118] = 1
    assert not facing_ends(tips.values(), probability)


def test_ends_of_one_branch_are_no_pair():
    mask = np.zeros((60, 160), dtype=bool)
    mask[26:34, 70:90] = True
    assert not facing_ends(tips_in(mask).values(), mask.astype(np.float32))


def test_points_outside_the_picture_are_read_at_its_border():
    picture = np.arange(12).reshape(3, 4)
    assert values_at(np.array([[0.4, 0.6], [-3.0, 1.0], [9.0, 9.0]]), picture).tolist() == [1, 1, 11]
