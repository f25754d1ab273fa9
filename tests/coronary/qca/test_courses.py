"""Costs of joining segments, against the anatomy."""

from __future__ import annotations

import pytest

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.qca.courses import FOLLOWS, FORKS, RANK, SAME, STRANGE, label_cost


@pytest.mark.parametrize(
    ("one", "other", "cost"),
    [
        ("6", "6", SAME),
        ("6", "7", FOLLOWS),
        ("11", "13", FOLLOWS),
        ("5", "11", FORKS),
        ("6", "9", STRANGE),  # a diagonal leaves the LAD
        ("1", "6", STRANGE),
    ],
)
def test_cost_of_two_segments(one, other, cost):
    ids = arcade_id(SyntaxSegment(one)), arcade_id(SyntaxSegment(other))
    assert label_cost(*ids) == label_cost(*ids[::-1]) == cost


def test_branches_without_a_name():
    assert label_cost(0, 0) == 0
    assert label_cost(0, arcade_id(SyntaxSegment("6"))) == STRANGE


def test_every_segment_has_a_rank_and_ranks_rise_along_the_arteries():
    assert set(RANK) == {arcade_id(segment) for segment in SyntaxSegment}
    for course in (("1", "2", "3", "4", "16a"), ("5", "6", "7", "8"), ("5", "11", "13", "14")):
        ranks = [RANK[arcade_id(SyntaxSegment(name))] for name in course]
        assert ranks == sorted(set(ranks))
