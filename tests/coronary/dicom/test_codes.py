"""Codes of segments against the context groups that pydicom carries."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from monai_lora_sam.coronary.anatomy import CassSegment, SyntaxSegment, Vessel
from monai_lora_sam.coronary.dicom.codes import CODE_OF_CASS, CODE_OF_VESSEL, segment_code


def group(number: int) -> set[tuple[str, str]]:
    context = getattr(codes, f"cid{number}")
    members = (getattr(context, name) for name in dir(context))
    return {(code.value, code.scheme_designator) for code in members if isinstance(code, Code)}


def test_terms_belong_to_their_context_groups():
    segments = group(3014)
    assert {(term.value, term.scheme) for term in CODE_OF_CASS.values() if term.scheme == "SCT"} <= segments
    assert set(CODE_OF_CASS) == set(CassSegment) and set(CODE_OF_VESSEL) == set(Vessel)


def test_codes_are_unique():
    assert len({(term.value, term.scheme) for term in CODE_OF_CASS.values()}) == len(CODE_OF_CASS)


def test_every_segment_of_syntax_has_a_code():
    for segment in SyntaxSegment:
        code = segment_code(segment)
        assert code.label.startswith(f"SYNTAX {segment.value}, ")
        expected = CODE_OF_CASS[code.cass] if code.cass else None
        assert code.term == expected or (expected is None and code.term in CODE_OF_VESSEL.values())


def test_the_proximal_lad():
    code = segment_code(SyntaxSegment.LAD_PROXIMAL)
    assert code.term[:2] == ("68787002", "SCT") and code.label == "SYNTAX 6, CASS 12"


def test_bare_numbers_are_refused():
    with pytest.raises(TypeError):
        segment_code(6)
