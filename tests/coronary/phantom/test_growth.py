"""Grown trees against Dodge's diameters and the anatomy."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment, exists_in
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.tree import CoronaryTree

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
