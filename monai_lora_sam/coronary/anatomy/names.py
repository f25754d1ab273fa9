"""Names of segments in a report."""

from __future__ import annotations

from monai_lora_sam.coronary.anatomy.mapping import cass_from_syntax
from monai_lora_sam.coronary.anatomy.segments import CassSegment, Dominance, SyntaxSegment, exists_in

_VESSELS = {"RCA", "LAD", "LCX"}


def segment_name(segment: SyntaxSegment | CassSegment) -> str:
    """Return number and name of a segment.

    Raises:
        TypeError: when given anything but a member of the two enums.

    Example:
        >>> segment_name(SyntaxSegment.LAD_PROXIMAL), segment_name(CassSegment.LAD_PROXIMAL)
        ('6 LAD proximal', '12 LAD proximal')
    """
    if not isinstance(segment, SyntaxSegment | CassSegment):
        raise TypeError(f"expected a SyntaxSegment or CassSegment, found {segment!r}")
    words = [word if word in _VESSELS else word.lower() for word in segment.name.split("_")]
    return " ".join([segment.value, *words])


def cass_name(segment: SyntaxSegment) -> str:
    """Return the name of the CASS segment that stands for a SYNTAX segment, or "no counterpart".

    Example:
        >>> cass_name(SyntaxSegment.INTERMEDIATE)
        '28 ramus'
    """
    dominance = next(dominance for dominance in Dominance if exists_in(segment, dominance))
    cass = cass_from_syntax(segment, dominance)
    return "no counterpart" if cass is None else segment_name(cass)
