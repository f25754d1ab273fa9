"""Vessels that were joined over a fork: by their labels, up one side and down the other."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.qca.courses import RANK


def straight(*borders: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one even vessel of 10 px and its labels, each up to a column."""
    mask, ids = np.zeros((40, 300), bool), np.zeros((40, 300), np.uint8)
    mask[15:25, 5:295] = True
    start = 0
    for name, stop in borders:
        ids[:, start:stop] = arcade_id(SyntaxSegment(name)) if name else 0
        start = stop
    return mask, ids


@pytest.mark.parametrize(
    ("labels", "vessels"),
    [
        # Circumflex, left main, anterior descending: the left main stays with the latter (5, 6, 7 are one course).
        ([("13", 80), ("11", 140), ("5", 160), ("6", 220), ("7", 300)], [{"13", "11"}, {"5", "6", "7"}]),
        ([("7", 80), ("6", 140), ("5", 160), ("11", 300)], [{"5", "6", "7"}, {"11"}]),
        # A course as it should be, either way round, and unknown places in it.
        ([("5", 80), ("6", 160), ("7", 300)], [{"5", "6", "7"}]),
        ([("8", 80), ("", 100), ("7", 160), ("6", 300)], [{"6", "7", "8"}]),
        # Two side branches of one vessel, joined where they leave it; and one that crosses the other.
        ([("13", 150), ("12a", 300)], [{"13"}, {"12a"}]),
        ([("13", 120), ("12a", 150), ("13", 300)], [{"13", "12a"}]),
        # A few pixels of a wrong label are no fork.
        ([("6", 100), ("5", 103), ("6", 200), ("7", 300)], [{"5", "6", "7"}]),
    ],
)
def test_a_line_over_a_fork_is_parted_where_the_labels_turn(labels, vessels):
    mask, ids = straight(*labels)
    profiles = measure(mask, segments=ids).profiles
    named = [{arcade_id(SyntaxSegment(name)) for name in names} for names in vessels]
    found = [set(np.unique(profile.segment_ids)) - {0} for profile in profiles]
    assert sorted(map(sorted, found)) == sorted(map(sorted, named))
    # Each runs from its proximal to its distal end.
    for profile in profiles:
        assert (
            profile.direction_known or len({RANK[number] for number in set(profile.segment_ids) - {0}}) == 1
        )
