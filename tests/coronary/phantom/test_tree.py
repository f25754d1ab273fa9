"""Diameters against Murray and Dodge, lesions against the request, courses against anatomy."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment, exists_in
from monai_lora_sam.coronary.phantom.diameters import murray_daughter_mm, murray_parent_mm, vessel_diameters
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.lesions import add_lesions, narrow, stenosis_profile
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree

S = SyntaxSegment


def grown(seed: int, side: str, dominance: Dominance = Dominance.RIGHT) -> CoronaryTree:
    return grow_tree(np.random.default_rng(seed), side, dominance)


def names(tree: CoronaryTree) -> set[SyntaxSegment]:
    return {s for branch in tree.branches for s, _, _ in branch.segments if s is not None}


def diameter_of(tree: CoronaryTree, segment: SyntaxSegment) -> float:
    """Return the diameter in the middle of the first third of a segment."""
    for branch in tree.branches:
        for s, start, stop in branch.segments:
            if s is segment:
                return float(branch.reference_diameter_mm[start + (stop - start) // 3])
    raise AssertionError(f"{segment} is missing")


def test_murrays_law_by_hand() -> None:
    assert murray_parent_mm([3.0, 4.0, 5.0]) == pytest.approx(6.0)  # 27 + 64 + 125 = 216
    assert murray_daughter_mm(6.0, 5.0) == pytest.approx(91 ** (1 / 3))
    with pytest.raises(ValueError, match="narrower than its parent"):
        murray_daughter_mm(2.0, 2.0)


def test_each_bifurcation_keeps_the_sum_of_cubes_up_to_the_taper() -> None:
    arc = np.linspace(0, 100, 1001)
    diameter, branches = vessel_diameters(arc, 4.0, 1.5, [200, 600], [2.2, 1.6])
    assert diameter[-1] == pytest.approx(1.5, abs=1e-4)
    taper = np.log(diameter[100] / diameter[200]) / (arc[200] - arc[100])
    for index, branch in zip([200, 600], branches, strict=True):
        behind = index + int(np.ceil(diameter[index] / 0.1)) + 1
        untapered = diameter[behind] * np.exp(taper * (arc[behind] - arc[index]))
        assert untapered**3 + branch**3 == pytest.approx(diameter[index] ** 3, rel=1e-6)


def test_a_branch_wider_than_its_parent_is_made_narrower() -> None:
    diameter, branches = vessel_diameters(np.linspace(0, 50, 126), 2.0, 1.2, [40], [3.0])
    assert branches[0] < diameter[40]
    assert np.all(np.diff(diameter) <= 0)


def test_branches_of_grown_trees_start_on_their_parent_and_narrower() -> None:
    for seed, side in ((0, "left"), (1, "right"), (2, "left")):
        tree = grown(seed, side)
        for branch in tree.branches[1:]:
            assert branch.parent is not None
            parent = tree.branches[branch.parent[0]]
            np.testing.assert_allclose(branch.points_mm[0], parent.points_mm[branch.parent[1]])
            assert branch.reference_diameter_mm[0] < parent.reference_diameter_mm[branch.parent[1]]


@pytest.mark.parametrize(
    ("side", "dominance", "segment", "mean", "deviation"),
    [
        ("left", Dominance.RIGHT, S.LEFT_MAIN, 4.5, 0.5),
        ("left", Dominance.RIGHT, S.LAD_PROXIMAL, 3.7, 0.4),
        ("left", Dominance.RIGHT, S.LCX_PROXIMAL, 3.4, 0.5),
        ("right", Dominance.RIGHT, S.RCA_PROXIMAL, 3.9, 0.6),
        ("right", Dominance.LEFT, S.RCA_PROXIMAL, 2.8, 0.5),
    ],
)
def test_mean_diameters_are_the_published_ones(
    side: str, dominance: Dominance, segment: SyntaxSegment, mean: float, deviation: float
) -> None:
    drawn = [diameter_of(grown(seed, side, dominance), segment) for seed in range(25)]
    assert abs(np.mean(drawn) - mean) < deviation
    assert 0.4 * deviation < np.std(drawn) < 1.7 * deviation


@pytest.mark.parametrize("dominance", list(Dominance))
def test_only_segments_of_the_dominance_and_side_are_grown(dominance: Dominance) -> None:
    left, right = set[SyntaxSegment](), set[SyntaxSegment]()
    for seed in range(8):
        left |= names(grown(seed, "left", dominance))
        right |= names(grown(seed, "right", dominance))
    assert all(exists_in(segment, dominance) for segment in left | right)
    assert not left & right
    assert (S.LEFT_POSTERIOR_DESCENDING in left) == (dominance is Dominance.LEFT)
    assert (S.RIGHT_POSTERIOR_DESCENDING in right) == (dominance is not Dominance.LEFT)
    assert (S.RIGHT_POSTEROLATERAL in right) == (dominance is Dominance.RIGHT)


def test_all_twenty_five_segments_can_be_grown() -> None:
    seen = set[SyntaxSegment]()
    for seed in range(60):
        for side in ("left", "right"):
            seen |= names(grown(seed, side, (Dominance.RIGHT, Dominance.LEFT)[seed % 2]))
    assert seen == set(SyntaxSegment)


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
