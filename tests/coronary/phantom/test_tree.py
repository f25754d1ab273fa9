"""A branch knows its length and whether it has a name."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.anatomy import SyntaxSegment
from monai_lora_sam.coronary.phantom.tree import Branch

POINTS = np.array([[0.0, 0.0, 0.0], [2.0, 3.0, 6.0], [2.0, 3.0, 10.0]])


def branch(*segments):
    return Branch(POINTS, np.ones(3), np.ones(3), list(segments))


def test_arc_length_by_hand():
    np.testing.assert_allclose(branch((None, 0, 3)).arc_mm, [0.0, 7.0, 11.0])


def test_a_branch_is_labelled_where_any_part_is_a_segment():
    assert not branch((None, 0, 3)).labelled
    assert branch((None, 0, 1), (SyntaxSegment.LAD_MID, 1, 3)).labelled
