"""The order of segments agrees with the anatomy of which segment leaves which."""

from __future__ import annotations

from itertools import pairwise

import pytest

from monai_lora_sam.coronary.anatomy import COURSES, SyntaxSegment, in_order, parents_of, rank_of, vessel_of


def test_segments_come_in_the_order_of_the_score_each_once():
    names = ["16c", "12b", "1", "9a", "13", "9", "10", "12b"]
    ordered = in_order(SyntaxSegment(name) for name in names)
    assert [segment.value for segment in ordered] == ["1", "9", "9a", "10", "12b", "13", "16c"]
    assert in_order([]) == []


@pytest.mark.parametrize(
    ("rank", "names"),
    [
        (0, "1 5"),
        (1, "2 6 11"),
        (2, "3 7 13 9 9a 12 12a 12b"),
        (3, "4 8 10 10a 14 14a 14b 15 16"),
        (4, "16a 16b 16c"),
    ],
)
def test_ranks_count_the_segments_from_the_ostium(rank, names):
    assert {segment.value for segment in SyntaxSegment if rank_of(segment) == rank} == set(names.split())


def test_along_a_course_each_segment_leaves_the_one_before():
    for course in COURSES:
        for before, after in pairwise(course):
            assert before in parents_of(after)
            assert rank_of(after) == rank_of(before) + 1
    assert {vessel_of(course[-1]).value for course in COURSES} == {"RCA", "LAD", "LCX"}


def test_a_bare_number_is_no_segment():
    with pytest.raises(TypeError, match="expected a SyntaxSegment, found 12"):
        rank_of(12)
