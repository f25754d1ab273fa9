"""The SYNTAX score of a file of confirmed lesions, against points added up by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_lora_sam.coronary.qca import score_confirmed

LESION = {"segments": ["6"], "percent_diameter_stenosis": 72, "rvd_mm": 3.1}


def write(path: Path, **content: object) -> Path:
    path.write_text(json.dumps({"confirmed": True, "dominance": "right", "lesions": [LESION], **content}))
    return path


def test_points_by_hand(tmp_path: Path):
    """Segment 6 has 3.5 points in right dominance, twice for a stenosis without occlusion; heavy calcification 2."""
    plain = score_confirmed(write(tmp_path / "a.json"))
    assert plain.score.total == 3.5 * 2 and plain.rows[0]["segments"] == {"6": 7.0}
    heavy = score_confirmed(write(tmp_path / "b.json", lesions=[{**LESION, "heavy_calcification": True}]))
    assert heavy.score.total == 3.5 * 2 + 2
    json.dumps(heavy.to_json(), allow_nan=False)


def test_shallow_lesions_and_thin_vessels_are_listed_and_do_not_count(tmp_path: Path):
    lesions = [LESION, {**LESION, "percent_diameter_stenosis": 49}, {**LESION, "rvd_mm": 1.4}]
    found = score_confirmed(write(tmp_path / "a.json", lesions=lesions))
    assert found.score.total == 7.0
    assert [row.get("not_counted") for row in found.rows] == [None, "below 50 %DS", "vessel below 1.5 mm"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confirmed": False}, '"confirmed": true'),
        ({"dominance": "co"}, "co"),
        ({"lesions": [{**LESION, "segments": ["99"]}]}, "lesion 1: .*'99'"),
        ({"lesions": [{**LESION, "percent_diameter_stenosis": float("nan")}]}, "percent_diameter_stenosis"),
        ({"lesoins": []}, "nearest: 'lesions'"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, change: dict, message: str):
    with pytest.raises(ValueError, match=rf"a\.json: .*{message}"):
        score_confirmed(write(tmp_path / "a.json", **change))


@pytest.mark.parametrize(
    ("lesions", "message"),
    [
        (
            [LESION, {**LESION, "segments": ["2"], "medina": [1, 1, 1]}],
            "lesion 2: expected the Medina class 1,1,1 at",
        ),
        (
            [{**LESION, "percent_diameter_stenosis": 40, "segments": ["15"]}],
            "lesion 1: SYNTAX segment 15 does not",
        ),
        ([{**LESION, "medina": [1, 1, "1"]}], "lesion 1: expected a Medina class"),
        ([{**LESION, "medina": [[1], 0, 0]}], "lesion 1: expected a Medina class"),
        ([{**LESION, "medina": [1.0, 0, 0]}], "lesion 1: expected a Medina class"),
        ([{**LESION, "angulation_below_70_degrees": True}], "lesion 1: expected a Medina class beside"),
        (
            [{**LESION, "aorto_ostial": True, "segments": ["13"]}],
            "lesion 1: expected an aorto-ostial lesion at",
        ),
        ([{**LESION, "rvd_mm": -3}], "lesion 1: rvd_mm: expected a number"),
        ([{**LESION, "rvd_mm": 0}], "lesion 1: rvd_mm: expected a number above 0"),
        ([{**LESION, "rvd_mm": float("nan")}], "lesion 1: rvd_mm: expected a number"),
        ([{**LESION, "unseen_segments": -1}], "lesion 1: expected unseen_segments from 0 on"),
        ([{**LESION, "thrombus": 1}], "lesion 1: thrombus: expected bool"),
        ([{**LESION, "medinna": [1, 0, 0]}], "lesion 1: 'medinna' is not supported \\(nearest: 'medina'\\)"),
        (
            [LESION, {**LESION, "rvd_mm": 2}, LESION],
            "lesion 3: expected each lesion once, found the same as lesion 1",
        ),
    ],
)
def test_lesions_that_cannot_be_are_named(tmp_path: Path, lesions: list, message: str):
    with pytest.raises(ValueError, match=rf"a\.json: {message}"):
        score_confirmed(write(tmp_path / "a.json", lesions=lesions))


def test_repeats_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="diffuse segment 2: expected each diffuse segment once"):
        score_confirmed(write(tmp_path / "a.json", diffuse_segments=["8", "8"]))
    (tmp_path / "b.json").write_text(
        '{"confirmed": true, "dominance": "right", "dominance": "left", "lesions": []}'
    )
    with pytest.raises(ValueError, match=r"b\.json: expected each key once, found 'dominance' 2 times"):
        score_confirmed(tmp_path / "b.json")
    with pytest.raises(ValueError, match="dominance: expected right or left, found 'Right'"):
        score_confirmed(write(tmp_path / "a.json", dominance="Right"))
