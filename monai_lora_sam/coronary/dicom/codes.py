"""DICOM codes of coronary segments (PS3.16 CID 3014 "Coronary Artery Segment")."""

from __future__ import annotations

from typing import NamedTuple

from monai_lora_sam.coronary.anatomy import (
    CassSegment,
    Dominance,
    SyntaxSegment,
    Vessel,
    cass_from_syntax,
    exists_in,
    vessel_of,
)


class CodedTerm(NamedTuple):
    """Hold a concept of a coding scheme: SCT (SNOMED CT), BARI (segments of CASS/BARI) or DCM (DICOM's own)."""

    value: str
    scheme: str
    meaning: str


class SegmentCode(NamedTuple):
    """Hold the DICOM code of a SYNTAX segment.

    Attributes:
        term: term of CID 3014, or of the parent artery (CID 3015) where CASS has no counterpart.
        label: entry in a viewer's list: "SYNTAX 6, CASS 12", or "SYNTAX 6, no CASS segment".
        cass: the CASS segment, or None.
    """

    term: CodedTerm
    label: str
    cass: CassSegment | None


#: The vessel tree as a whole (CID 3010).
CORONARY_ARTERY = CodedTerm("41801008", "SCT", "Coronary artery")

_C = CassSegment
#: CID 3014, whose rows are the segments of CASS. Where SNOMED CT has no concept, the code is BARI's own, of at most
#: three characters.
CODE_OF_CASS: dict[CassSegment, CodedTerm] = {
    segment: CodedTerm(value, "SCT" if len(value) > 3 else "BARI", meaning)
    for segment, value, meaning in (
        (_C.RCA_PROXIMAL, "91083009", "Proximal Right Coronary Artery"),
        (_C.RCA_MID, "450960006", "Mid Right Coronary Artery"),
        (_C.RCA_DISTAL, "41879009", "Distal Right Coronary Artery"),
        (_C.RIGHT_POSTERIOR_DESCENDING, "53655008", "Posterior Descending Right Coronary Artery"),
        (_C.RIGHT_POSTERIOR_ATRIOVENTRICULAR, "12800002", "Right posterior AV Coronary Artery"),
        (_C.FIRST_RIGHT_POSTEROLATERAL, "91761002", "1st Right posterolateral Coronary Artery"),
        (_C.SECOND_RIGHT_POSTEROLATERAL, "91762009", "2nd Right posterolateral Coronary Artery"),
        (_C.THIRD_RIGHT_POSTEROLATERAL, "91763004", "3rd Right posterolateral Coronary Artery"),
        (_C.POSTERIOR_DESCENDING_SEPTALS, "9", "Posterior descending septal perforators"),
        (_C.ACUTE_MARGINAL, "22765000", "Marginal Coronary Artery"),
        (_C.LEFT_MAIN, "3227004", "Left Main Coronary Artery"),
        (_C.LAD_PROXIMAL, "68787002", "Proximal Left Anterior Descending Coronary Artery"),
        (_C.LAD_MID, "91748002", "Mid Left Anterior Descending Coronary Artery"),
        (_C.LAD_DISTAL, "36672000", "Distal Left Anterior Descending Coronary Artery"),
        (_C.FIRST_DIAGONAL, "91750005", "1st Diagonal Coronary Artery"),
        (_C.FIRST_DIAGONAL_LATERAL, "15A", "1st Diagonal Coronary Artery Laterals"),
        (_C.SECOND_DIAGONAL, "91751009", "2nd Diagonal Coronary Artery"),
        (_C.SECOND_DIAGONAL_LATERAL, "16A", "2nd Diagonal Coronary Artery Laterals"),
        (_C.SEPTAL, "244251006", "1st Septal Coronary Artery"),
        (_C.LCX_PROXIMAL, "52433000", "Proximal Circumflex Coronary Artery"),
        (_C.LCX_MID, "91753007", "Mid Circumflex Coronary Artery"),
        (_C.LCX_DISTAL, "6511003", "Distal Circumflex Coronary Artery"),
        (_C.FIRST_OBTUSE_MARGINAL, "91754001", "1st Marginal Coronary Artery"),
        (_C.FIRST_OBTUSE_MARGINAL_LATERAL, "20A", "1st Marginal Coronary Artery Laterals"),
        (_C.SECOND_OBTUSE_MARGINAL, "91755000", "2nd Marginal Coronary Artery"),
        (_C.SECOND_OBTUSE_MARGINAL_LATERAL, "21A", "2nd Marginal Coronary Artery Laterals"),
        (_C.THIRD_OBTUSE_MARGINAL, "91756004", "3rd Marginal Coronary Artery"),
        (_C.THIRD_OBTUSE_MARGINAL_LATERAL, "22A", "3rd Marginal Coronary Artery Laterals"),
        (_C.ATRIOVENTRICULAR_GROOVE, "75902001", "AV groove continuation of Circumflex Artery"),
        (_C.FIRST_LEFT_POSTEROLATERAL, "91757008", "1st Left Posterolateral Coronary Artery"),
        (_C.SECOND_LEFT_POSTEROLATERAL, "91758003", "2nd Left Posterolateral Coronary Artery"),
        (_C.THIRD_LEFT_POSTEROLATERAL, "91759006", "3rd Left Posterolateral Coronary Artery"),
        (_C.LEFT_POSTERIOR_DESCENDING, "91760001", "Left Posterior Descending Circumflex Coronary Artery"),
        (_C.RAMUS, "244252004", "Intermediate Artery (Ramus)"),
        (_C.RAMUS_LATERAL, "28A", "Ramus Laterals"),
        (_C.THIRD_DIAGONAL, "91752002", "3rd diagonal Coronary Artery"),
        (_C.THIRD_DIAGONAL_LATERAL, "29A", "3rd Diagonal Coronary Artery Laterals"),
    )
}

#: Arteries of CID 3015, for segments without a counterpart in CASS.
CODE_OF_VESSEL: dict[Vessel, CodedTerm] = {
    Vessel.RCA: CodedTerm("13647002", "SCT", "Right Coronary Artery"),
    Vessel.LM: CodedTerm("3227004", "SCT", "Left Main Coronary Artery"),
    Vessel.LAD: CodedTerm("59438005", "SCT", "Left Anterior Descending Coronary Artery"),
    Vessel.LCX: CodedTerm("57396003", "SCT", "Circumflex Coronary Artery"),
}


def segment_code(segment: SyntaxSegment) -> SegmentCode:
    """Return the DICOM code of a SYNTAX segment, by its counterpart in CASS.

    A segment without counterpart is coded as its artery; the label says so.

    Raises:
        TypeError: when given anything but a SyntaxSegment.

    Example:
        >>> segment_code(SyntaxSegment.LAD_PROXIMAL).label
        'SYNTAX 6, CASS 12'
    """
    # A segment's existence depends on the dominance, its name does not.
    dominance = next(d for d in Dominance if exists_in(segment, d))
    cass = cass_from_syntax(segment, dominance)
    if cass is None:
        return SegmentCode(
            CODE_OF_VESSEL[vessel_of(segment)], f"SYNTAX {segment.value}, no CASS segment", None
        )
    return SegmentCode(CODE_OF_CASS[cass], f"SYNTAX {segment.value}, CASS {cass.value}", cass)
