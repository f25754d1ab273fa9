"""From SYNTAX to CASS and back, against the two published lists, written out here by hand."""

from __future__ import annotations

import pytest

from monai_lora_sam.coronary.anatomy import (
    CassSegment,
    Dominance,
    SyntaxSegment,
    cass_from_syntax,
    syntax_from_cass,
    vessel_of,
)

# CASS numbers for the SYNTAX names, set side by side by the names of the segments in the two lists.
CASS_OF_SYNTAX = {
    **{"1": "1", "2": "2", "3": "3", "4": "4", "5": "11", "6": "12", "7": "13", "8": "14"},
    **{"9": "15", "9a": "15a", "10": "16", "10a": "16a", "11": "18", "12": "28", "12a": "20", "12b": "21"},
    **{"13": "19", "14": "24", "14a": "25", "14b": "26", "15": "27"},
    **{"16": "5", "16a": "6", "16b": "7", "16c": "8"},
}


CASS_WITHOUT_SYNTAX = {"9", "10", "17", "19a", "20a", "21a", "22", "22a", "23", "28a", "29", "29a"}


def test_cass_and_syntax_map_as_the_lists_say() -> None:
    for syntax, cass in CASS_OF_SYNTAX.items():
        segment = SyntaxSegment(syntax)
        dominance = Dominance.LEFT if syntax == "15" else Dominance.RIGHT
        assert cass_from_syntax(segment, dominance) is CassSegment(cass), syntax
        assert syntax_from_cass(CassSegment(cass)) is segment
    assert set(CASS_OF_SYNTAX) == {segment.value for segment in SyntaxSegment}


def test_segments_without_counterpart_give_none() -> None:
    without = {s.value for s in CassSegment if syntax_from_cass(s) is None}
    assert without == CASS_WITHOUT_SYNTAX
    assert CASS_WITHOUT_SYNTAX | set(CASS_OF_SYNTAX.values()) == {segment.value for segment in CassSegment}


def test_vessels_agree_across_the_mapping() -> None:
    for syntax, cass in CASS_OF_SYNTAX.items():
        assert vessel_of(SyntaxSegment(syntax)) is vessel_of(CassSegment(cass)), syntax


def test_segments_that_a_dominance_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="4 does not exist in left dominance"):
        cass_from_syntax(SyntaxSegment.RIGHT_POSTERIOR_DESCENDING, "left")
    with pytest.raises(ValueError, match="balanced"):
        cass_from_syntax(SyntaxSegment.LEFT_MAIN, "balanced")


@pytest.mark.parametrize("bad", [13, "11", CassSegment.LCX_PROXIMAL])
def test_bare_numbers_and_foreign_segments_are_refused(bad: object) -> None:
    with pytest.raises(TypeError, match="expected a SyntaxSegment, found"):
        cass_from_syntax(bad, "right")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a CassSegment, found"):
        syntax_from_cass("11")  # type: ignore[arg-type]
