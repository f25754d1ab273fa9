"""From SYNTAX segments to CASS segments and back."""

from __future__ import annotations

from monai_lora_sam.coronary.anatomy.segments import CassSegment, Dominance, SyntaxSegment, exists_in

_S, _C = SyntaxSegment, CassSegment

# None: CASS has no segment for it. SYNTAX divides the circumflex at the first marginal into two parts, CASS
# into three; SYNTAX 13 is the part behind the first marginal, which CASS calls mid.
_CASS_OF_SYNTAX: dict[SyntaxSegment, CassSegment | None] = {
    _S.RCA_PROXIMAL: _C.RCA_PROXIMAL,
    _S.RCA_MID: _C.RCA_MID,
    _S.RCA_DISTAL: _C.RCA_DISTAL,
    _S.RIGHT_POSTERIOR_DESCENDING: _C.RIGHT_POSTERIOR_DESCENDING,
    _S.LEFT_MAIN: _C.LEFT_MAIN,
    _S.LAD_PROXIMAL: _C.LAD_PROXIMAL,
    _S.LAD_MID: _C.LAD_MID,
    _S.LAD_APICAL: _C.LAD_DISTAL,
    _S.FIRST_DIAGONAL: _C.FIRST_DIAGONAL,
    _S.FIRST_DIAGONAL_A: _C.FIRST_DIAGONAL_LATERAL,
    _S.SECOND_DIAGONAL: _C.SECOND_DIAGONAL,
    _S.SECOND_DIAGONAL_A: _C.SECOND_DIAGONAL_LATERAL,
    _S.LCX_PROXIMAL: _C.LCX_PROXIMAL,
    _S.INTERMEDIATE: _C.RAMUS,
    _S.OBTUSE_MARGINAL_A: _C.FIRST_OBTUSE_MARGINAL,
    _S.OBTUSE_MARGINAL_B: _C.SECOND_OBTUSE_MARGINAL,
    _S.LCX_DISTAL: _C.LCX_MID,
    _S.LEFT_POSTEROLATERAL: _C.FIRST_LEFT_POSTEROLATERAL,
    _S.LEFT_POSTEROLATERAL_A: _C.SECOND_LEFT_POSTEROLATERAL,
    _S.LEFT_POSTEROLATERAL_B: _C.THIRD_LEFT_POSTEROLATERAL,
    _S.LEFT_POSTERIOR_DESCENDING: _C.LEFT_POSTERIOR_DESCENDING,
    _S.RIGHT_POSTEROLATERAL: _C.RIGHT_POSTERIOR_ATRIOVENTRICULAR,
    _S.RIGHT_POSTEROLATERAL_A: _C.FIRST_RIGHT_POSTEROLATERAL,
    _S.RIGHT_POSTEROLATERAL_B: _C.SECOND_RIGHT_POSTEROLATERAL,
    _S.RIGHT_POSTEROLATERAL_C: _C.THIRD_RIGHT_POSTEROLATERAL,
}
_SYNTAX_OF_CASS = {cass: syntax for syntax, cass in _CASS_OF_SYNTAX.items() if cass is not None}


def cass_from_syntax(segment: SyntaxSegment, dominance: Dominance | str) -> CassSegment | None:
    """Return the CASS segment that stands for a SYNTAX segment, or None where CASS has no counterpart.

    Args:
        segment: the SYNTAX segment.
        dominance: "right", "left" or "co"; decides which segments exist at all.

    Raises:
        TypeError: when `segment` is not a SyntaxSegment.
        ValueError: when the segment cannot exist under this dominance.

    Example:
        >>> cass_from_syntax(SyntaxSegment.INTERMEDIATE, "right")
        <CassSegment.RAMUS: '28'>
    """
    dominance = Dominance(dominance)
    if not exists_in(segment, dominance):
        raise ValueError(f"SYNTAX segment {segment.value} does not exist in {dominance.value} dominance")
    return _CASS_OF_SYNTAX[segment]


def syntax_from_cass(segment: CassSegment) -> SyntaxSegment | None:
    """Return the SYNTAX segment that stands for a CASS segment, or None where SYNTAX has no counterpart.

    Example:
        >>> syntax_from_cass(CassSegment.SEPTAL) is None
        True
    """
    if not isinstance(segment, CassSegment):
        raise TypeError(f"expected a CassSegment, found {segment!r}")
    return _SYNTAX_OF_CASS.get(segment)
