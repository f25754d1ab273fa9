"""The masks' rules on tubes laid out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.phantom.masks import project_masks
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.phantom.scene import ProjectedBranch, project_branch
from monai_lora_sam.coronary.phantom.tree import Branch

ARM = CArm(0.0, 0.0, 1000.0, 750.0, 0.4, (128, 128))
SEEN = np.ones(ARM.shape, bool)
ACROSS, DOWN = SyntaxSegment.LCX_PROXIMAL, SyntaxSegment.LAD_PROXIMAL


def tube(
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    segment: SyntaxSegment | None,
    diameter: float = 3.0,
) -> ProjectedBranch:
    width = np.full(81, diameter)
    branch = Branch(np.linspace(start, end, 81), width, width, [(segment, 0, 81)])
    return project_branch(branch, ARM, np.zeros(3))


@pytest.mark.parametrize("order", [1, -1])
def test_the_vessel_nearer_to_the_detector_gives_the_label_of_a_crossing(order: int) -> None:
    in_front = tube((-15, -20, 0), (15, -20, 0), ACROSS)  # the detector stands in front of the patient
    behind = tube((0, 20, -15), (0, 20, 15), DOWN)
    vessels, labels = project_masks([in_front, behind][::order], SEEN, 0.9)
    assert labels[63, 63] == arcade_id(ACROSS)
    assert labels[85, 63] == arcade_id(DOWN)
    np.testing.assert_array_equal(vessels, labels > 0)


def test_where_vessels_join_the_nearer_centreline_gives_the_label() -> None:
    parent = tube((0, 0, -15), (0, 0, 15), DOWN)
    child = tube((0, 0, 0), (15, 0, 0), ACROSS, 2.0)
    _, labels = project_masks([parent, child], SEEN, 0.9)
    # Both cover the parent's right half at the branch's height: the left edge stays the parent's.
    assert labels[63, 60] == arcade_id(DOWN)
    assert labels[63, 68] == arcade_id(ACROSS)
    assert labels[63, 80] == arcade_id(ACROSS)


def test_unnamed_branches_count_from_the_given_diameter_and_carry_no_label() -> None:
    wide, thin = tube((-15, 0, 8), (15, 0, 8), None, 1.2), tube((-15, 0, -8), (15, 0, -8), None, 0.8)
    vessels, labels = project_masks([wide, thin], SEEN, 0.9)
    assert vessels[:60].any() and not vessels[68:].any()
    assert not labels.any()
    assert project_masks([wide, thin], SEEN, 0.5)[0][68:].any()


def test_an_unnamed_branch_leaves_the_label_below_it() -> None:
    named, over = tube((-15, 0, 0), (15, 0, 0), ACROSS), tube((0, -30, -15), (0, -30, 15), None, 1.2)
    _, labels = project_masks([named, over], SEEN, 0.9)
    assert labels[63, 63] == arcade_id(ACROSS)


def test_nothing_is_vessel_behind_the_collimator() -> None:
    seen = SEEN.copy()
    seen[:, :64] = False
    vessels, labels = project_masks([tube((-15, 0, 0), (15, 0, 0), ACROSS)], seen, 0.9)
    assert not vessels[:, :64].any() and not labels[:, :64].any()
    assert vessels[:, 64:].any()
