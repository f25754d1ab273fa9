"""``monai-lora-sam prepare`` of the coronary data sets, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

run = CliRunner().invoke


def test_phantom(tmp_path: Path):
    result = run(
        app, ["prepare", "phantom", "--out", str(tmp_path), "--count", "2", "--validation-fraction", "0.5"]
    )
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    assert len(datalist["training"]) == len(datalist["validation"]) == 1


def test_phantoms_with_implants(tmp_path: Path):
    words = ["prepare", "phantom", "--out", str(tmp_path), "--count", "1"]
    result = run(app, [*words, "--implants", "1", "--weak-filling", "0.5"])
    assert result.exit_code == 0, result.output
    config = json.loads(next((tmp_path / "truth").iterdir()).read_text())["config"]
    assert (config["implants"], config["weak_filling"]) == (1.0, 0.5)


def test_cine(tmp_path: Path):
    result = run(app, ["prepare", "cine", "--out", str(tmp_path), "--frames", "2", "--seed", "0"])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cine_000000000.dcm", "cine_000000000.json"]
    assert "cine_000000000.dcm" in result.output


def test_arcade_names_a_wrong_folder(tmp_path: Path):
    result = run(app, ["prepare", "arcade", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "error: " in result.output and "Traceback" not in result.output
