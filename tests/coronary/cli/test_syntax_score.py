"""``monai-lora-sam syntax-score`` against scores added up by hand from the published points."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from monai_lora_sam.cli.main import app

LAD: dict[str, Any] = {"segments": ["6"], "percent_diameter_stenosis": 70, "rvd_mm": 3.0}


def score(tmp_path: Path, content: Any, *options: str) -> Result:
    path = tmp_path / "lesions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return CliRunner().invoke(app, ["syntax-score", str(path), *options])


def patient(*lesions: dict[str, Any], dominance: str = "right", **entries: Any) -> dict[str, Any]:
    return {"confirmed": True, "dominance": dominance, "lesions": list(lesions), **entries}


@pytest.mark.parametrize(
    ("content", "total"),
    [
        (patient(), 0),
        # Proximal LAD, 3.5 × 2.
        (patient(LAD), 7),
        # Left main, 5 × 2 in right and 6 × 2 in left dominance.
        (patient(LAD | {"segments": ["5"]}), 10),
        (patient(LAD | {"segments": ["5"]}, dominance="left"), 12),
        # Mid LAD, 2.5 × 2, Medina 1,1,1 bifurcation (2) at an angle below 70° (1), heavy calcification (2).
        (
            patient(
                LAD
                | {
                    "segments": ["7"],
                    "medina": [1, 1, 1],
                    "angulation_below_70_degrees": True,
                    "heavy_calcification": True,
                }
            ),
            10,
        ),
        # Occluded mid RCA, 1 × 5, of unknown age (1), blunt stump (1), two segments not seen (2).
        (
            patient(
                LAD
                | {
                    "segments": ["2"],
                    "percent_diameter_stenosis": 100,
                    "occluded": "2",
                    "occlusion_age": "unknown",
                    "blunt_stump": True,
                    "unseen_segments": 2,
                }
            ),
            9,
        ),
        # Two lesions and two diffuse segments; lesions below 50 % and in vessels below 1.5 mm do not count.
        (
            patient(
                LAD,
                LAD | {"segments": ["11"]},
                LAD | {"percent_diameter_stenosis": 49.9},
                LAD | {"rvd_mm": 1.4},
                diffuse_segments=["8", "10"],
            ),
            7 + 3 + 2,
        ),
        # The bounds themselves count.
        (patient(LAD | {"percent_diameter_stenosis": 50, "rvd_mm": 1.5}), 7),
    ],
)
def test_the_total_is_the_one_added_up_by_hand(tmp_path: Path, content: dict[str, Any], total: float):
    out = tmp_path / "score.json"
    result = score(tmp_path, content, "--json", str(out))
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert written["syntax_score"] == total
    assert sum(row["points"] for row in written["lesions"]) + written["diffuse_points"] == total
    assert re.search(rf"SYNTAX score, {content['dominance']} dominance +{total:g}\s", result.output)


def test_lesions_that_do_not_count_are_listed_with_the_reason(tmp_path: Path):
    content = patient(LAD | {"percent_diameter_stenosis": 40}, LAD, LAD | {"rvd_mm": 1.0})
    result = score(tmp_path, content, "--json", "-")
    rows = json.loads(result.stdout)["lesions"]
    assert [row.get("not_counted") for row in rows] == ["below 50 %DS", None, "vessel below 1.5 mm"]
    assert [row["points"] for row in rows] == [0, 7, 0]
    assert "segment 6: not counted, below 50 %DS" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected an object with confirmed, dominance, lesions"),
        ("{", "lesions.json: "),
        ({"dominance": "right", "lesions": []}, "found no confirmed"),
        (patient() | {"confirmed": False}, 'expected "confirmed": true'),
        (patient() | {"confirmed": "yes"}, 'expected "confirmed": true'),
        (patient(dominance="balanced"), "balanced"),
        (patient(dominance="codominant"), "codominan"),
        (patient() | {"lesion": []}, "'lesion' is not supported (nearest: 'lesions')"),
        (patient() | {"lesions": {}}, "lesions: expected a list"),
        (patient(LAD | {"segments": ["17"]}), "lesion 1: segments: expected SYNTAX segments among"),
        (patient(LAD | {"segments": "6"}), "lesion 1: segments: expected a list"),
        (patient(LAD | {"segments": [["6"]]}), "lesion 1: segments: expected SYNTAX segments among"),
        (patient(LAD | {"segments": ["15"]}), "segment 15 does not exist in right dominance"),
        (patient(LAD, LAD | {"calcified": True}), "lesion 2: 'calcified' is not supported"),
        (patient(LAD | {"thrombus": "yes"}), "lesion 1: thrombus: expected bool"),
        (
            patient(LAD | {"side_branch": "above_1.5_mm", "occluded": "6", "percent_diameter_stenosis": 100}),
            "disagree",
        ),
        (patient(LAD | {"medina": [0, 0, 0]}), "lesion 1: expected a Medina class"),
        (patient(LAD | {"medina": 1}), "lesion 1: medina: expected a list"),
        (patient(LAD | {"percent_diameter_stenosis": 101}), "expected at most 100"),
        (patient(LAD | {"percent_diameter_stenosis": 100}), "expected occluded"),
        (patient(LAD | {"occluded": "6"}), "expected occluded"),
        (patient(LAD | {"rvd_mm": None}), "lesion 1: rvd_mm: expected a number"),
        (patient(LAD | {"blunt_stump": True}), "lesion 1: expected an occluded segment"),
        (patient("6"), "lesion 1: expected an object"),
        (patient(diffuse_segments=["99"]), "diffuse_segments: expected SYNTAX segments"),
    ],
)
def test_unsupported_or_unconfirmed_input_is_one_error(tmp_path: Path, content: Any, message: str):
    result = score(tmp_path, content)
    assert result.exit_code == 1
    assert message in result.output and "Traceback" not in result.output


def test_the_example_of_the_page_has_the_points_that_it_says(tmp_path: Path):
    page = (Path(__file__).resolve().parents[3] / "docs" / "qca.md").read_text(encoding="utf-8")
    (example,) = (
        block for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "confirmed" in block
    )
    said = re.search(r"The example has (\d+) points", page)
    result = score(tmp_path, example, "--json", "-")
    assert said is not None and json.loads(result.stdout)["syntax_score"] == float(said[1]) == 23


def test_a_missing_file_is_named(tmp_path: Path):
    result = CliRunner().invoke(app, ["syntax-score", str(tmp_path / "nowhere.json")])
    assert result.exit_code == 1 and "nowhere.json" in result.output
