"""ARCADE's category ids against the published list and annotations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_lora_sam.coronary.anatomy import (
    ARCADE_CLASS_NAMES,
    CassSegment,
    SyntaxSegment,
    arcade_id,
    syntax_from_arcade_id,
)

# ARCADE's categories 1 to 25
ARCADE = [
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "9a", "10", "10a", "11", "12", "12a", "13"),
    *("14", "14a", "15", "16", "16a", "16b", "16c", "12b", "14b"),
]


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
