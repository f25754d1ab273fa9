"""SYNTAX, CASS and ARCADE names against the published lists, written out here by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_lora_sam.coronary.anatomy import (
    ARCADE_CLASS_NAMES,
    CassSegment,
    Dominance,
    SyntaxSegment,
    Vessel,
    arcade_id,
    cass_from_syntax,
    exists_in,
    syntax_from_arcade_id,
    syntax_from_cass,
    vessel_of,
)

# syntaxscore.org
SYNTAX = {
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "9a", "10", "10a", "11", "12", "12a", "12b"),
    *("13", "14", "14a", "14b", "15", "16", "16a", "16b", "16c"),
}
# DICOM CID 3014: 1 to 29 with 19a, and the lateral branches of 15, 16, 20, 21, 22, 28 and 29
CASS = {str(number) for number in range(1, 30)} | {"19a", "15a", "16a", "20a", "21a", "22a", "28a", "29a"}
# ARCADE's categories 1 to 25
ARCADE = [
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "9a", "10", "10a", "11", "12", "12a", "13"),
    *("14", "14a", "15", "16", "16a", "16b", "16c", "12b", "14b"),
]

# CASS numbers for the SYNTAX names, set side by side by what the segments are called in the two lists.
CASS_OF_SYNTAX = {
    **{"1": "1", "2": "2", "3": "3", "4": "4", "5": "11", "6": "12", "7": "13", "8": "14"},
    **{"9": "15", "9a": "15a", "10": "16", "10a": "16a", "11": "18", "12": "28", "12a": "20", "12b": "21"},
    **{"13": "19", "14": "24", "14a": "25", "14b": "26", "15": "27"},
    **{"16": "5", "16a": "6", "16b": "7", "16c": "8"},
}
CASS_WITHOUT_SYNTAX = {"9", "10", "17", "19a", "20a", "21a", "22", "22a", "23", "28a", "29", "29a"}


def test_the_enums_hold_the_published_segments() -> None:
    assert {s.value for s in SyntaxSegment} == SYNTAX
    assert {s.value for s in CassSegment} == CASS


def test_twelve_differs_between_the_nomenclatures() -> None:
    assert SyntaxSegment("12") is SyntaxSegment.INTERMEDIATE
    assert CassSegment("12") is CassSegment.LAD_PROXIMAL
    assert SyntaxSegment("12") != CassSegment("12")


def test_arcade_ids_are_a_bijection_onto_the_segments() -> None:
    assert ["background", *ARCADE] == ARCADE_CLASS_NAMES
    segments = [syntax_from_arcade_id(i) for i in range(1, 26)]
    assert [s.value for s in segments] == ARCADE
    assert set(segments) == set(SyntaxSegment)
    assert [arcade_id(s) for s in segments] == list(range(1, 26))


@pytest.mark.parametrize("bad", [0, 26, 27, -1, "1", None])
def test_other_arcade_ids_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="from 1 to 25, found"):
        syntax_from_arcade_id(bad)  # type: ignore[arg-type]


def test_stenosis_is_named_as_no_segment() -> None:
    with pytest.raises(ValueError, match="stenosis"):
        syntax_from_arcade_id(26)


def test_arcade_ids_match_the_published_annotations(shared_data: Path) -> None:
    annotations = json.loads((shared_data / "arcade/syntax/val/annotations/val.json").read_text())
    for category in annotations["categories"]:
        if category["id"] <= 25:
            assert syntax_from_arcade_id(category["id"]).value == category["name"]


@pytest.mark.parametrize("bad", [13, "11", CassSegment.LCX_PROXIMAL])
def test_bare_numbers_and_foreign_segments_are_refused(bad: object) -> None:
    with pytest.raises(TypeError, match="expected a SyntaxSegment, found"):
        arcade_id(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="SyntaxSegment"):
        cass_from_syntax(bad, "right")  # type: ignore[arg-type]


def test_cass_and_syntax_map_as_the_lists_say() -> None:
    for syntax, cass in CASS_OF_SYNTAX.items():
        segment = SyntaxSegment(syntax)
        dominance = Dominance.LEFT if syntax == "15" else Dominance.RIGHT
        assert cass_from_syntax(segment, dominance) is CassSegment(cass), syntax
        assert syntax_from_cass(CassSegment(cass)) is segment
    assert set(CASS_OF_SYNTAX) == SYNTAX


def test_what_has_no_counterpart_gives_none() -> None:
    without = {s.value for s in CassSegment if syntax_from_cass(s) is None}
    assert without == CASS_WITHOUT_SYNTAX
    assert CASS_WITHOUT_SYNTAX | set(CASS_OF_SYNTAX.values()) == CASS


def test_dominance_decides_which_segments_exist() -> None:
    def missing(dominance: Dominance) -> set[str]:
        return {s.value for s in SyntaxSegment if not exists_in(s, dominance)}

    assert missing(Dominance.LEFT) == {"4", "16", "16a", "16b", "16c"}
    assert missing(Dominance.RIGHT) == {"15"}
    assert missing(Dominance.CO) == {"15", "16", "16a", "16b", "16c"}
    with pytest.raises(ValueError, match="4 does not exist in left dominance"):
        cass_from_syntax(SyntaxSegment.RIGHT_POSTERIOR_DESCENDING, "left")
    with pytest.raises(ValueError, match="balanced"):
        cass_from_syntax(SyntaxSegment.LEFT_MAIN, "balanced")


def test_vessels_agree_across_the_mapping() -> None:
    assert vessel_of(SyntaxSegment.LEFT_MAIN) is Vessel.LM
    assert vessel_of(CassSegment.SEPTAL) is Vessel.LAD
    for syntax, cass in CASS_OF_SYNTAX.items():
        assert vessel_of(SyntaxSegment(syntax)) is vessel_of(CassSegment(cass)), syntax
    with pytest.raises(TypeError, match="found 12"):
        vessel_of(12)  # type: ignore[arg-type]
