"""Bifurcations, trifurcations and ostia, where the SYNTAX score knows them and elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.qca.junctions import check_anatomy
from monai_lora_sam.coronary.qca.syntax_score import AdverseCharacteristics, ScoredLesion


def lesion(names: str, **adverse: Any) -> ScoredLesion:
    return ScoredLesion(
        tuple(SyntaxSegment(name) for name in names.split()), adverse=AdverseCharacteristics(**adverse)
    )


@pytest.mark.parametrize(
    ("dominance", "names", "adverse"),
    [
        ("right", "5 6 11", {"medina": (1, 1, 1)}),
        ("right", "7", {"medina": (1, 1, 1)}),
        ("right", "9", {"medina": (0, 0, 1)}),
        ("right", "6 7 8", {"medina": (1, 1, 0)}),
        ("right", "3", {"medina": (1, 0, 0)}),
        ("left", "13 15", {"medina": (1, 0, 1)}),
        ("right", "5 12", {"trifurcation_segments": 2}),
        ("right", "3 16a 16", {"trifurcation_segments": 3}),
        ("right", "1", {"aorto_ostial": True}),
        ("left", "5", {"aorto_ostial": True}),
        ("right", "6", {"aorto_ostial": True}),
        ("right", "16 4", {}),
    ],
)
def test_a_lesion_at_its_junction_is_taken(dominance: str, names: str, adverse: dict[str, Any]):
    check_anatomy(lesion(names, **adverse), Dominance(dominance))


@pytest.mark.parametrize(
    ("dominance", "names", "adverse", "message"),
    [
        (
            "right",
            "1",
            {"medina": (1, 1, 1)},
            "Medina class 1,1,1 at a narrowed part of 5/6/11, .*found segments 1",
        ),
        ("right", "2", {"medina": (0, 1, 0)}, "Medina class 0,1,0 at"),
        ("right", "9", {"medina": (1, 0, 0)}, "6/7/9"),
        ("right", "5", {"medina": (0, 1, 1)}, "5/6/11"),
        ("left", "3", {"medina": (1, 0, 0)}, "5/6/11, 6/7/9, 7/8/10, 11/13/12a, 13/14/14a, 13/14/15, found"),
        ("right", "8", {"medina": (1, 0, 0)}, "7/8/10"),
        (
            "right",
            "2",
            {"trifurcation_segments": 2},
            "trifurcation at a narrowed part of 3/4/16/16a, 5/6/11/12",
        ),
        ("left", "3", {"trifurcation_segments": 1}, "trifurcation at a narrowed part of 5/6/11/12"),
        (
            "right",
            "7",
            {"aorto_ostial": True},
            "aorto-ostial lesion at a narrowed part of 1, 5, 6, 11, found segments 7",
        ),
        ("right", "6 8", {}, "that adjoin, found 6, 8"),
        ("right", "1 6", {}, "that adjoin, found 1, 6"),
        ("right", "15", {}, "segment 15 does not exist in right dominance"),
        ("left", "3 4", {}, "segment 4 does not exist in left dominance"),
    ],
)
def test_a_lesion_that_the_arteries_have_no_place_for_is_refused(
    dominance: str, names: str, adverse: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        check_anatomy(lesion(names, **adverse), Dominance(dominance))
