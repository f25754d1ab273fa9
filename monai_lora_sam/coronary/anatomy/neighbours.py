"""Neighbours of the SYNTAX segments, and the coronary artery that each belongs to."""

from __future__ import annotations

from enum import Enum

from monai_lora_sam.coronary.anatomy.segments import Dominance, SyntaxSegment, Vessel, exists_in, vessel_of

_S = SyntaxSegment


class Side(Enum):
    """Name the coronary artery, left or right; one injection of contrast shows one of them."""

    LEFT = "left"
    RIGHT = "right"


# From the definitions of the SYNTAX score (Sianos et al., EuroIntervention 2005;1:219-227): the segments that
# a segment can leave from. "14 may be absent or a division of the obtuse marginal"; the marginals leave the
# circumflex before or at the place where 13 begins, depending on which of them is the most distal.
_PARENTS: dict[SyntaxSegment, tuple[SyntaxSegment, ...]] = {
    _S.RCA_PROXIMAL: (),
    _S.RCA_MID: (_S.RCA_PROXIMAL,),
    _S.RCA_DISTAL: (_S.RCA_MID,),
    _S.RIGHT_POSTERIOR_DESCENDING: (_S.RCA_DISTAL,),
    _S.RIGHT_POSTEROLATERAL: (_S.RCA_DISTAL,),
    _S.RIGHT_POSTEROLATERAL_A: (_S.RIGHT_POSTEROLATERAL,),
    _S.RIGHT_POSTEROLATERAL_B: (_S.RIGHT_POSTEROLATERAL,),
    _S.RIGHT_POSTEROLATERAL_C: (_S.RIGHT_POSTEROLATERAL,),
    _S.LEFT_MAIN: (),
    _S.LAD_PROXIMAL: (_S.LEFT_MAIN,),
    _S.LAD_MID: (_S.LAD_PROXIMAL,),
    _S.LAD_APICAL: (_S.LAD_MID,),
    _S.FIRST_DIAGONAL: (_S.LAD_PROXIMAL, _S.LAD_MID),
    _S.FIRST_DIAGONAL_A: (_S.LAD_PROXIMAL, _S.LAD_MID),
    _S.SECOND_DIAGONAL: (_S.LAD_MID, _S.LAD_APICAL),
    _S.SECOND_DIAGONAL_A: (_S.LAD_MID, _S.LAD_APICAL),
    _S.LCX_PROXIMAL: (_S.LEFT_MAIN,),
    _S.INTERMEDIATE: (_S.LEFT_MAIN,),
    _S.OBTUSE_MARGINAL_A: (_S.LCX_PROXIMAL, _S.LCX_DISTAL),
    _S.OBTUSE_MARGINAL_B: (_S.LCX_PROXIMAL, _S.LCX_DISTAL),
    _S.LCX_DISTAL: (_S.LCX_PROXIMAL,),
    _S.LEFT_POSTEROLATERAL: (_S.LCX_DISTAL, _S.OBTUSE_MARGINAL_A, _S.OBTUSE_MARGINAL_B),
    _S.LEFT_POSTEROLATERAL_A: (_S.LCX_DISTAL,),
    _S.LEFT_POSTEROLATERAL_B: (_S.LCX_DISTAL,),
    _S.LEFT_POSTERIOR_DESCENDING: (_S.LCX_DISTAL,),
}

# Where a segment ends by dividing, its branches touch each other as well: the left main's fork and the crux.
_FORKS: tuple[frozenset[SyntaxSegment], ...] = (
    frozenset({_S.LAD_PROXIMAL, _S.LCX_PROXIMAL, _S.INTERMEDIATE}),
    frozenset({_S.RIGHT_POSTERIOR_DESCENDING, _S.RIGHT_POSTEROLATERAL}),
)


def side_of(segment: SyntaxSegment) -> Side:
    """Return the coronary artery, left or right, that a SYNTAX segment belongs to.

    Raises:
        TypeError: when given anything but a SyntaxSegment.

    Example:
        >>> side_of(SyntaxSegment.INTERMEDIATE)
        <Side.LEFT: 'left'>
    """
    if not isinstance(segment, SyntaxSegment):
        raise TypeError(f"expected a SyntaxSegment, found {segment!r}")
    return Side.RIGHT if vessel_of(segment) is Vessel.RCA else Side.LEFT


def parents_of(segment: SyntaxSegment, dominance: Dominance | str | None = None) -> tuple[SyntaxSegment, ...]:
    """Return the SYNTAX segments that a segment can leave from; none for 1 and 5, which leave the aorta.

    Args:
        segment: the SYNTAX segment.
        dominance: leaves out segments that cannot exist under it (`exists_in`); None: any dominance.

    Raises:
        TypeError: when `segment` is not a SyntaxSegment.
        ValueError: when the segment cannot exist under this dominance.

    Example:
        >>> parents_of(SyntaxSegment.FIRST_DIAGONAL)
        (<SyntaxSegment.LAD_PROXIMAL: '6'>, <SyntaxSegment.LAD_MID: '7'>)
    """
    if not isinstance(segment, SyntaxSegment):
        raise TypeError(f"expected a SyntaxSegment, found {segment!r}")
    if dominance is None:
        return _PARENTS[segment]
    dominance = Dominance(dominance)
    if not exists_in(segment, dominance):
        raise ValueError(f"SYNTAX segment {segment.value} does not exist in {dominance.value} dominance")
    return tuple(parent for parent in _PARENTS[segment] if exists_in(parent, dominance))


def adjoins(first: SyntaxSegment, second: SyntaxSegment, dominance: Dominance | str | None = None) -> bool:
    """Say whether two different SYNTAX segments can touch: one leaves the other, or both leave the same fork.

    The order of the two does not matter. Segments that merely cross in a projection do not adjoin.

    Args:
        first, second: the SYNTAX segments; a segment does not adjoin itself.
        dominance: with it, segments that cannot exist under it adjoin nothing; None: any dominance.

    Raises:
        TypeError: when given anything but SyntaxSegments.

    Example:
        >>> adjoins(SyntaxSegment.LAD_APICAL, SyntaxSegment.LAD_PROXIMAL)
        False
    """
    for segment in (first, second):
        if not isinstance(segment, SyntaxSegment):
            raise TypeError(f"expected a SyntaxSegment, found {segment!r}")
    if dominance is not None and not all(exists_in(s, Dominance(dominance)) for s in (first, second)):
        return False
    if first is second:
        return False
    if first in _PARENTS[second] or second in _PARENTS[first]:
        return True
    return any({first, second} <= fork for fork in _FORKS)
