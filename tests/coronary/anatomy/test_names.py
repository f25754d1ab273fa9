"""Names of segments as reports print them."""

from __future__ import annotations

import pytest

from monai_lora_sam.coronary.anatomy import CassSegment, SyntaxSegment, cass_name, segment_name


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        (SyntaxSegment.LAD_PROXIMAL, "6 LAD proximal"),
        (SyntaxSegment.RIGHT_POSTEROLATERAL_C, "16c right posterolateral c"),
        (CassSegment.LCX_DISTAL, "19a LCX distal"),
    ],
)
def test_number_and_name(segment, name):
    assert segment_name(segment) == name


def test_all_names_differ():
    for kind in (SyntaxSegment, CassSegment):
        assert len({segment_name(segment) for segment in kind}) == len(kind)


def test_cass_names_of_all_syntax_segments():
    """12 is the intermediate branch in SYNTAX and the proximal LAD in CASS."""
    assert cass_name(SyntaxSegment.INTERMEDIATE) == "28 ramus"
    assert cass_name(SyntaxSegment.LAD_PROXIMAL) == "12 LAD proximal"
    assert cass_name(SyntaxSegment.LEFT_POSTERIOR_DESCENDING) == "27 left posterior descending"
    assert all(cass_name(segment) for segment in SyntaxSegment)


def test_a_segment_without_counterpart_says_so(monkeypatch):
    monkeypatch.setattr("monai_lora_sam.coronary.anatomy.names.cass_from_syntax", lambda *_: None)
    assert cass_name(SyntaxSegment.LEFT_MAIN) == "no counterpart"


def test_a_bare_number_is_no_segment():
    with pytest.raises(TypeError, match="expected a SyntaxSegment or CassSegment, found '12'"):
        segment_name("12")
