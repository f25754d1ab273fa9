"""Coronary segments of the two nomenclatures as enums, so that a bare number never stands for a segment."""

from __future__ import annotations

from enum import Enum


class Vessel(Enum):
    """Name the epicardial vessel a segment belongs to."""

    RCA = "RCA"
    LM = "LM"
    LAD = "LAD"
    LCX = "LCX"


class Dominance(Enum):
    """Say which artery supplies the posterior interventricular groove."""

    RIGHT = "right"
    LEFT = "left"
    CO = "co"


class SyntaxSegment(Enum):
    """List the 25 segments of the SYNTAX score; the value is the segment's SYNTAX name (syntaxscore.org)."""

    RCA_PROXIMAL = "1"
    RCA_MID = "2"
    RCA_DISTAL = "3"
    RIGHT_POSTERIOR_DESCENDING = "4"
    LEFT_MAIN = "5"
    LAD_PROXIMAL = "6"
    LAD_MID = "7"
    LAD_APICAL = "8"
    FIRST_DIAGONAL = "9"
    FIRST_DIAGONAL_A = "9a"
    SECOND_DIAGONAL = "10"
    SECOND_DIAGONAL_A = "10a"
    LCX_PROXIMAL = "11"
    INTERMEDIATE = "12"
    OBTUSE_MARGINAL_A = "12a"
    OBTUSE_MARGINAL_B = "12b"
    LCX_DISTAL = "13"
    LEFT_POSTEROLATERAL = "14"
    LEFT_POSTEROLATERAL_A = "14a"
    LEFT_POSTEROLATERAL_B = "14b"
    LEFT_POSTERIOR_DESCENDING = "15"
    RIGHT_POSTEROLATERAL = "16"
    RIGHT_POSTEROLATERAL_A = "16a"
    RIGHT_POSTEROLATERAL_B = "16b"
    RIGHT_POSTEROLATERAL_C = "16c"


class CassSegment(Enum):
    """List the segments of CASS/BARI (DICOM CID 3014); the value is the segment's CASS name."""

    RCA_PROXIMAL = "1"
    RCA_MID = "2"
    RCA_DISTAL = "3"
    RIGHT_POSTERIOR_DESCENDING = "4"
    RIGHT_POSTERIOR_ATRIOVENTRICULAR = "5"
    FIRST_RIGHT_POSTEROLATERAL = "6"
    SECOND_RIGHT_POSTEROLATERAL = "7"
    THIRD_RIGHT_POSTEROLATERAL = "8"
    POSTERIOR_DESCENDING_SEPTALS = "9"
    ACUTE_MARGINAL = "10"
    LEFT_MAIN = "11"
    LAD_PROXIMAL = "12"
    LAD_MID = "13"
    LAD_DISTAL = "14"
    FIRST_DIAGONAL = "15"
    FIRST_DIAGONAL_LATERAL = "15a"
    SECOND_DIAGONAL = "16"
    SECOND_DIAGONAL_LATERAL = "16a"
    SEPTAL = "17"
    LCX_PROXIMAL = "18"
    LCX_MID = "19"
    LCX_DISTAL = "19a"
    FIRST_OBTUSE_MARGINAL = "20"
    FIRST_OBTUSE_MARGINAL_LATERAL = "20a"
    SECOND_OBTUSE_MARGINAL = "21"
    SECOND_OBTUSE_MARGINAL_LATERAL = "21a"
    THIRD_OBTUSE_MARGINAL = "22"
    THIRD_OBTUSE_MARGINAL_LATERAL = "22a"
    ATRIOVENTRICULAR_GROOVE = "23"
    FIRST_LEFT_POSTEROLATERAL = "24"
    SECOND_LEFT_POSTEROLATERAL = "25"
    THIRD_LEFT_POSTEROLATERAL = "26"
    LEFT_POSTERIOR_DESCENDING = "27"
    RAMUS = "28"
    RAMUS_LATERAL = "28a"
    THIRD_DIAGONAL = "29"
    THIRD_DIAGONAL_LATERAL = "29a"


_SYNTAX_VESSEL = {
    Vessel.RCA: ("1", "2", "3", "4", "16", "16a", "16b", "16c"),
    Vessel.LM: ("5",),
    Vessel.LAD: ("6", "7", "8", "9", "9a", "10", "10a"),
    Vessel.LCX: ("11", "12", "12a", "12b", "13", "14", "14a", "14b", "15"),
}
_CASS_VESSEL = {
    Vessel.RCA: ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10"),
    Vessel.LM: ("11",),
    Vessel.LAD: ("12", "13", "14", "15", "15a", "16", "16a", "17", "29", "29a"),
    Vessel.LCX: (
        *("18", "19", "19a", "20", "20a", "21", "21a", "22", "22a"),
        *("23", "24", "25", "26", "27", "28", "28a"),
    ),
}
_VESSEL_OF: dict[SyntaxSegment | CassSegment, Vessel] = {
    **{SyntaxSegment(name): vessel for vessel, names in _SYNTAX_VESSEL.items() for name in names},
    **{CassSegment(name): vessel for vessel, names in _CASS_VESSEL.items() for name in names},
}


def vessel_of(segment: SyntaxSegment | CassSegment) -> Vessel:
    """Return the vessel a segment belongs to (the intermediate branch counts as LCX, as in SYNTAX).

    Raises:
        TypeError: when given anything but a member of the two enums, a bare number above all.

    Example:
        >>> vessel_of(SyntaxSegment.LAD_MID)
        <Vessel.LAD: 'LAD'>
    """
    if not isinstance(segment, SyntaxSegment | CassSegment):
        raise TypeError(f"expected a SyntaxSegment or CassSegment, found {segment!r}")
    return _VESSEL_OF[segment]


_RIGHT_POSTERIOR = {
    SyntaxSegment.RIGHT_POSTERIOR_DESCENDING,
    SyntaxSegment.RIGHT_POSTEROLATERAL,
    SyntaxSegment.RIGHT_POSTEROLATERAL_A,
    SyntaxSegment.RIGHT_POSTEROLATERAL_B,
    SyntaxSegment.RIGHT_POSTEROLATERAL_C,
}


def exists_in(segment: SyntaxSegment, dominance: Dominance) -> bool:
    """Say whether a SYNTAX segment can exist under a dominance.

    Left: no 4 and no 16*. Right: no 15 (the PDA comes from the RCA). Co-dominant: the RCA gives the PDA (4)
    and the LCX the posterolaterals, so neither 15 nor 16*.

    Example:
        >>> exists_in(SyntaxSegment.LEFT_POSTERIOR_DESCENDING, Dominance.RIGHT)
        False
    """
    if not isinstance(segment, SyntaxSegment):
        raise TypeError(f"expected a SyntaxSegment, found {segment!r}")
    dominance = Dominance(dominance)
    if dominance is Dominance.LEFT:
        return segment not in _RIGHT_POSTERIOR
    if segment is SyntaxSegment.LEFT_POSTERIOR_DESCENDING:
        return False
    if dominance is Dominance.CO:
        return segment is SyntaxSegment.RIGHT_POSTERIOR_DESCENDING or segment not in _RIGHT_POSTERIOR
    return True
