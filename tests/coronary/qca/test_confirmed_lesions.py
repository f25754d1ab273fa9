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
