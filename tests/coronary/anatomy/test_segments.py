"""SYNTAX and CASS names against the published lists, written out here by hand."""

from __future__ import annotations

import pytest

from monai_lora_sam.coronary.anatomy import (
    CassSegment,
    Dominance,
    SyntaxSegment,
    Vessel,
    exists_in,
    vessel_of,
)

# syntaxscore.org
SYNTAX = {
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "9a", "10", "10a", "11", "12", "12a", "12b"),
    *("13", "14", "14a", "14b", "15", "16", "16a", "16b", "16c"),
}


# DICOM CID 3014: 1 to 29 with 19a, and the lateral branches of 15, 16, 20, 21, 22, 28 and 29
CASS = {str(number) for number in range(1, 30)} | {"19a", "15a", "16a", "20a", "21a", "22a", "28a", "29a"}


def test_the_enums_hold_the_published_segments() -> None:
    assert {s.value for s in SyntaxSegment} == SYNTAX
    assert {s.value for s in CassSegment} == CASS


def test_twelve_differs_between_the_nomenclatures() -> None:
    assert SyntaxSegment("12") is SyntaxSegment.INTERMEDIATE
    assert CassSegment("12") is CassSegment.LAD_PROXIMAL
    assert SyntaxSegment("12") != CassSegment("12")


def test_dominance_decides_which_segments_exist() -> None:
    def missing(dominance: Dominance) -> set[str]:
        return {s.value for s in SyntaxSegment if not exists_in(s, dominance)}

    assert missing(Dominance.LEFT) == {"4", "16", "16a", "16b", "16c"}
    assert missing(Dominance.RIGHT) == {"15"}
    assert missing(Dominance.CO) == {"15", "16", "16a", "16b", "16c"}
    with pytest.raises(TypeError, match="found 4"):
        exists_in(4, Dominance.LEFT)  # type: ignore[arg-type]


def test_a_bare_number_belongs_to_no_vessel() -> None:
    assert vessel_of(SyntaxSegment.LEFT_MAIN) is Vessel.LM
    assert vessel_of(CassSegment.SEPTAL) is Vessel.LAD
    with pytest.raises(TypeError, match="found 12"):
        vessel_of(12)  # type: ignore[arg-type]
