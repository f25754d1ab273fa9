"""The tree in front of the C-arm: in the middle of the picture, contrast by Beer's law, fading along vessels."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.phantom.scene import (
    fill_with_contrast,
    project_branch,
    project_tree,
    vessel_attenuation,
)
from monai_lora_sam.coronary.phantom.tree import Branch

ARM = CArm(0.0, 0.0, 1000.0, 750.0, 0.4, (256, 256))


def straight(diameter_mm=3.0):
    """Return a vessel of 40 mm that runs across the rays through the isocentre."""
    columns = ARM.axes[0]
    points = np.linspace(-20, 20, 101)[:, None] * columns
    diameter = np.full(101, diameter_mm)
    return Branch(points, diameter, diameter, [(SyntaxSegment.LAD_MID, 0, 101)], None, np.ones(101))


def test_a_vessel_is_as_deep_as_its_diameter_in_its_middle():
    item = project_branch(straight(), ARM, np.zeros(3))
    total = vessel_attenuation([item], ARM.shape)
    middle = tuple(np.rint(item.points_rc_px[50]).astype(int))
    assert total[middle] == pytest.approx(3.0, rel=0.1)
    assert (item.drawn.path_mm >= 0).all()
    radius = 1.5 * ARM.pixels_per_mm(item.depth_mm[50])
    assert item.radius_px[50] == pytest.approx(radius)


def test_contrast_scales_with_the_filling():
    full, half = straight(), straight()
    half.filling = np.full(101, 0.5)
    one, other = (vessel_attenuation([project_branch(b, ARM, np.zeros(3))], ARM.shape) for b in (full, half))
    np.testing.assert_allclose(other, 0.5 * one, rtol=1e-5)


def test_named_vessels_lie_about_the_middle_of_the_picture():
    tree = grow_tree(np.random.default_rng(2), "left", Dominance.RIGHT)
    branches, offset = project_tree(np.random.default_rng(2), tree, ARM)
    points = np.concatenate([item.points_rc_px for item in branches if item.branch.labelled])
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    assert np.all(np.abs(middle - 127.5) < 0.3 * 256)
    assert offset.shape == (3,)


def test_contrast_never_rises_along_a_vessel():
    tree = grow_tree(np.random.default_rng(3), "right", Dominance.RIGHT)
    fill_with_contrast(np.random.default_rng(3), tree)
    assert tree.branches[0].filling[0] == 1.0
    for branch in tree.branches:
        assert np.all(np.diff(branch.filling) < 0) and branch.filling.min() > 0
