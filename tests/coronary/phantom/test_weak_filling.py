"""Weak filling: factors within their range, falling along vessels, handed on, and contrast as they say."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_phantom
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.scene import fill_with_contrast
from monai_lora_sam.coronary.phantom.tree import CoronaryTree
from monai_lora_sam.coronary.phantom.weak_filling import draw_weak_filling


@pytest.fixture(scope="module")
def tree() -> CoronaryTree:
    return grow_tree(np.random.default_rng(2), "left", Dominance.RIGHT)


def test_factors_fall_along_vessels_and_are_handed_on(tree: CoronaryTree):
    starts, ends = [], []
    for seed in range(10):
        factors = draw_weak_filling(np.random.default_rng(seed), tree)
        for branch, factor in zip(tree.branches, factors, strict=True):
            assert factor.shape == branch.arc_mm.shape and factor.min() >= 0.2 and factor.max() <= 1.0
            assert np.all(np.diff(factor) <= 1e-12)
            if branch.parent is not None:
                parent, sample = branch.parent
                assert factor[0] <= factors[parent][sample] + 1e-12
                starts.append(factor[0] / factors[parent][sample])
            ends.append(factor[-1] / factor[0])
    assert 0.4 < np.mean(np.array(starts) > 0.99) < 0.9  # most side branches are filled as their parents
    assert 0.2 < np.mean(np.array(ends) < 0.7) < 0.8  # many vessels fade


def test_contrast_is_the_usual_one_times_the_factor(tree: CoronaryTree):
    weakness = [np.full(branch.arc_mm.shape, 0.5) for branch in tree.branches]
    fill_with_contrast(np.random.default_rng(3), tree)
    usual = [branch.filling for branch in tree.branches]
    fill_with_contrast(np.random.default_rng(3), tree, weakness)
    for branch, filling in zip(tree.branches, usual, strict=True):
        np.testing.assert_allclose(branch.filling, 0.5 * filling)
    with pytest.raises(ValueError, match="zip"):
        fill_with_contrast(np.random.default_rng(3), tree, weakness[:-1])


def test_a_phantom_keeps_its_truth_and_loses_contrast():
    plain = {"image_size": 192, "background": False, "photons_range": (1e6, 1e6)}
    fainter = 0
    for seed in range(4):
        usual, weak = (generate_phantom(seed, PhantomConfig(**plain, weak_filling=p)) for p in (0.0, 1.0))
        np.testing.assert_array_equal(usual.vessel_mask, weak.vessel_mask)
        mask = usual.vessel_mask
        fainter += int((weak.image[mask].astype(int) - usual.image[mask] > 20).sum())
    assert fainter > 300
