"""``monai-lora-sam demo``, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.cli import demo
from monai_lora_sam.coronary.cli.demo import _truth_table


def test_a_small_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = {"PHANTOMS": 6, "EPOCHS": 1, "PICTURES": 1, "STAGED_PICTURES": 1, "IMAGE_SIZE": 64}
    for name, value in small.items():
        monkeypatch.setattr(demo, name, value)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    page = (tmp_path / "report.html").read_text()
    assert "Any organ by a box" in page and "Three stages on" in page and "training loss" in page
    assert {"mask_1_right_kidney.png", "segmentation.json"} <= {
        p.name for p in (tmp_path / "organs").iterdir()
    }
    assert len(list((tmp_path / "three_stages").iterdir())) == 1


def test_a_missing_angiogram_is_said_before_anything_is_drawn(tmp_path: Path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["demo", "--out", str(out), "--angiogram", str(tmp_path / "nowhere.png")]
    )
    assert result.exit_code == 1 and "nowhere.png: expected an angiogram" in result.output
    assert not out.exists()


def test_the_table_has_what_was_found_what_was_missed_and_what_is_not_there():
    true = {"segment": "7 LAD mid", "percent_diameter_stenosis": 70.2, "mld_mm": 0.9}
    lesions = [true | {"centre_xy": [20.5, 30.5]}, true | {"centre_xy": [90.5, 30.5]}]
    report = {
        "segments": [{"name": "6 LAD proximal"}, {"name": "9 first diagonal"}],
        "lesions": [
            {"id": 1, "box_xy": [60, 20, 80, 40], "percent_diameter_stenosis": 51.0},
            {"id": 2, "box_xy": [10, 20, 30, 40], "percent_diameter_stenosis": 61.6},
            {"id": 3, "box_xy": [60, 60, 80, 90], "percent_diameter_stenosis": None},
        ],
    }
    table = _truth_table(["6 LAD proximal", "7 LAD mid"], lesions, report)
    assert table.rows == [
        ["segment", "6 LAD proximal", "found"],
        ["segment", "7 LAD mid", "missed"],
        ["segment", "–", "9 first diagonal: found, but not there"],
        ["lesion", "7 LAD mid: 70 %DS, MLD 0.90 mm", "lesion 2: 62 %DS"],
        ["lesion", "7 LAD mid: 70 %DS, MLD 0.90 mm", "missed"],
        ["lesion", "–", "lesion 1: 51 %DS: found, but not there"],
        ["lesion", "–", "lesion 3: not measurable: found, but not there"],
    ]
    assert table.caption == (
        "Segments: 1 of 2 found, 1 missed, 1 found but not there. "
        "Lesions: 1 of 2 found, 1 missed, 2 found but not there."
    )


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_folder_is_said_before_anything_is_drawn(tmp_path: Path, below: str):
    (tmp_path / "out").write_text("a file")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "out" / below)])
    assert result.exit_code == 1 and "expected a folder or nothing, found a file" in result.output.replace(
        "\n", " "
    )
    assert "1/5" not in result.output
