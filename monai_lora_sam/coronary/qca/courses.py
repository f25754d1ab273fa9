"""Courses of the coronary arteries: the segments that follow each other along a vessel."""

from __future__ import annotations

from itertools import pairwise

from monai_lora_sam.coronary.anatomy import COURSES, SyntaxSegment, arcade_id, rank_of

SAME, FOLLOWS, FORKS, STRANGE = -2.0, -1.5, -1.0, 1.0  # in radians of turn
_FORKS = (("5", "11"), ("3", "4"), ("13", "14"), ("16", "16a"), ("16", "16b"), ("16", "16c"))


def _ids(*names: str) -> tuple[int, ...]:
    return tuple(arcade_id(SyntaxSegment(name)) for name in names)


_NEXT = {frozenset(map(arcade_id, pair)) for course in COURSES for pair in pairwise(course)}
_MAY_FOLLOW = {frozenset(_ids(*pair)) for pair in _FORKS}
#: Rank along the vessel by ARCADE id, from the ostium on.
RANK = {arcade_id(segment): rank_of(segment) for segment in SyntaxSegment}


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
