"""Courses of the coronary arteries: the segments that follow each other along a vessel."""

from __future__ import annotations

from itertools import pairwise

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id

SAME, FOLLOWS, FORKS, STRANGE = -2.0, -1.5, -1.0, 1.0  # in radians of turn
# The vessels of the SYNTAX score from the ostium on; behind the crux and the left main's fork the straighter of
# two goes on.
_COURSES = (
    ("1", "2", "3", "16"),
    ("5", "6", "7", "8"),
    ("11", "13", "15"),
)
_FORKS = (("5", "11"), ("3", "4"), ("13", "14"), ("16", "16a"), ("16", "16b"), ("16", "16c"))


def _ids(*names: str) -> tuple[int, ...]:
    return tuple(arcade_id(SyntaxSegment(name)) for name in names)


_NEXT = {frozenset(_ids(*pair)) for course in _COURSES for pair in pairwise(course)}
_MAY_FOLLOW = {frozenset(_ids(*pair)) for pair in _FORKS}
#: Rank along the vessel by ARCADE id, from the ostium on.
RANK = {
    _id: rank
    for rank, names in enumerate(
        (
            ("1", "5"),
            ("2", "6", "11"),
            ("3", "7", "13", "9", "9a", "12", "12a", "12b"),
            ("4", "8", "10", "10a", "14", "14a", "14b", "15", "16"),
            ("16a", "16b", "16c"),
        )
    )
    for _id in _ids(*names)
}


def label_cost(one: int, other: int) -> float:
    """Return the cost of taking two ARCADE ids for one vessel, in radians of turn.

    Branches without a name (0) are one vessel as likely as not; a named and a nameless one are not, as where a
    septal branch leaves.
    """
    if one == other:
        return SAME if one else 0.0
    if not one or not other:
        return STRANGE
    pair = frozenset((one, other))
    return FOLLOWS if pair in _NEXT else FORKS if pair in _MAY_FOLLOW else STRANGE
