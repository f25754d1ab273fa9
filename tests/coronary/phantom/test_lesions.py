"""Lesions against the request."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.lesions import add_lesions, narrow, stenosis_profile
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree

S = SyntaxSegment


def grown(seed: int, side: str, dominance: Dominance = Dominance.RIGHT) -> CoronaryTree:
    return grow_tree(np.random.default_rng(seed), side, dominance)


def test_the_stenosis_profile_is_a_cosine() -> None:
    arc = np.array([0.0, 2.5, 5.0, 7.5, 10.0, 12.0])
    np.testing.assert_allclose(stenosis_profile(arc, 5.0, 10.0, 80.0), [1, 0.6, 0.2, 0.6, 1, 1])
    with pytest.raises(ValueError, match="between 0 and 100"):
        stenosis_profile(arc, 5.0, 10.0, 100.0)
    with pytest.raises(ValueError, match="positive lesion length"):
        stenosis_profile(arc, 5.0, 0.0, 50.0)


@pytest.mark.parametrize("percent", [30.0, 62.5, 90.0])
def test_the_realised_stenosis_is_the_requested_one(percent: float) -> None:
    tree = grown(4, "left")
    branch = tree.branches[0]
    sample = len(branch.points_mm) // 2
    lesion = narrow(branch, 0, sample, 12.0, percent)
    # Where the vessel tapers the smallest lumen may lie a sample beside the centre.
    assert lesion.percent_diameter_stenosis == pytest.approx(percent, abs=0.3)
    inside = slice(lesion.start_index, lesion.stop_index + 1)
    assert branch.diameter_mm[inside].min() == lesion.minimum_lumen_diameter_mm
    at = np.argmin(branch.diameter_mm[inside]) + lesion.start_index
    assert 100 * (1 - branch.diameter_mm[at] / branch.reference_diameter_mm[at]) == pytest.approx(
        lesion.percent_diameter_stenosis
    )
    arc = branch.arc_mm
    assert arc[lesion.stop_index] - arc[lesion.start_index] == pytest.approx(12.0, abs=0.9)
    outside = np.ones(len(arc), bool)
    outside[inside] = False
    np.testing.assert_array_equal(branch.diameter_mm[outside], branch.reference_diameter_mm[outside])


def test_a_lesion_off_the_vessel_or_on_an_unnamed_branch_is_refused() -> None:
    line = np.stack([np.linspace(0, 20, 51), np.zeros(51), np.zeros(51)], axis=1)
    width = np.full(51, 2.0)
    named = Branch(line, width, width, [(S.LAD_MID, 0, 51)])
    with pytest.raises(ValueError, match="within the branch"):
        narrow(named, 0, 2, 10.0, 50.0)
    unnamed = Branch(line, width, width, [(None, 0, 51)])
    with pytest.raises(ValueError, match="named segment"):
        narrow(unnamed, 0, 25, 10.0, 50.0)


def test_lesions_do_not_overlap_and_lie_on_scored_vessels() -> None:
    count = 0
    for seed in range(30):
        tree = grown(seed, ("left", "right")[seed % 2], (Dominance.RIGHT, Dominance.LEFT)[seed % 2])
        lesions = add_lesions(np.random.default_rng(seed), tree, 1.0, (30.0, 90.0))
        assert lesions, seed
        count += len(lesions)
        assert all(lesion.reference_diameter_mm > 1.4 for lesion in lesions)
        for a in lesions:
            for b in lesions:
                if a is not b and a.branch == b.branch:
                    assert a.stop_index < b.start_index or b.stop_index < a.start_index
    assert count >= 30
    assert add_lesions(np.random.default_rng(0), grown(0, "left"), 0.0, (30.0, 90.0)) == []
