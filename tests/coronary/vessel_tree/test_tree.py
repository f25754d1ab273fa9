"""Lengths and neighbours in a tree made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree import Branch, Node, VesselTree

FORK = Node(0, "bifurcation", (0.0, 0.0), 2.0)
END = Node(1, "end", (0.0, 10.0), 1.0)
OTHER_END = Node(2, "end", (4.0, 0.0), 1.0)


def branch(number, end, length):
    return Branch(number, np.linspace([0.0, 0.0], end.position_rc, 5), FORK, end, length)


LOOP = Branch(2, np.zeros((4, 2)), None, None, 6.0)
TREE = VesselTree(
    (20, 20), 50, 2, (FORK, END, OTHER_END), (branch(0, END, 10.0), branch(1, OTHER_END, 4.0), LOOP), ()
)


def test_the_length_of_a_tree_is_that_of_its_branches():
    assert TREE.centreline_length_px == pytest.approx(20.0)


def test_a_loop_is_closed_and_a_branch_is_not():
    assert LOOP.is_closed and not TREE.branches[0].is_closed
