"""The order of the SYNTAX segments: in lists, and from the ostium outwards."""

from __future__ import annotations

from collections.abc import Iterable

from monai_lora_sam.coronary.anatomy.neighbours import parents_of
from monai_lora_sam.coronary.anatomy.segments import SyntaxSegment

_S = SyntaxSegment
_PLACE = {segment: place for place, segment in enumerate(SyntaxSegment)}

#: The main vessels, each from the ostium or its origin outwards. Behind the crux and behind the left main's fork the
#: straighter of two branches goes on.
COURSES: tuple[tuple[SyntaxSegment, ...], ...] = (
    (_S.RCA_PROXIMAL, _S.RCA_MID, _S.RCA_DISTAL, _S.RIGHT_POSTEROLATERAL),
    (_S.LEFT_MAIN, _S.LAD_PROXIMAL, _S.LAD_MID, _S.LAD_APICAL),
    (_S.LCX_PROXIMAL, _S.LCX_DISTAL, _S.LEFT_POSTERIOR_DESCENDING),
)


def in_order(segments: Iterable[SyntaxSegment]) -> list[SyntaxSegment]:
    """Return segments, each once, in the order of `SyntaxSegment`, in which every list and table shows them.

    Example:
        >>> in_order([SyntaxSegment.LCX_DISTAL, SyntaxSegment.OBTUSE_MARGINAL_B, SyntaxSegment.LEFT_MAIN])
        [<SyntaxSegment.LEFT_MAIN: '5'>, <SyntaxSegment.OBTUSE_MARGINAL_B: '12b'>, <SyntaxSegment.LCX_DISTAL: '13'>]
    """
    return sorted(set(segments), key=_PLACE.__getitem__)


def rank_of(segment: SyntaxSegment) -> int:
    """Return the least number of segments that blood passes on its way from the ostium to a segment.

    The intermediate branch ranks with the first branches of its neighbours, the diagonals and marginals.

    Raises:
        TypeError: when given anything but a SyntaxSegment.

    Example:
        >>> [rank_of(segment) for segment in (SyntaxSegment.LEFT_MAIN, SyntaxSegment.FIRST_DIAGONAL)]
        [0, 2]
    """
    if segment is SyntaxSegment.INTERMEDIATE:
        return rank_of(SyntaxSegment.FIRST_DIAGONAL)
    return min((rank_of(parent) + 1 for parent in parents_of(segment)), default=0)
