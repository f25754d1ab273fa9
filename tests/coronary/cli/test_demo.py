"""``monai-lora-sam demo``, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.cli import demo
from monai_lora_sam.coronary.cli.demo import _lesion_found


def test_a_small_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = {"PHANTOMS": 6, "EPOCHS": 1, "PICTURES": 1, "STAGED_PICTURES": 1, "IMAGE_SIZE": 84}
    for name, value in small.items():
        monkeypatch.setattr(demo, name, value)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    page = (tmp_path / "report.html").read_text()
    assert "Three stages on" in page and "training loss" in page
    assert len(list((tmp_path / "three_stages").iterdir())) == 1


def test_a_missing_angiogram_is_said_before_anything_is_drawn(tmp_path: Path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["demo", "--out", str(out), "--angiogram", str(tmp_path / "nowhere.png")]
    )
    assert result.exit_code == 1 and "nowhere.png: expected an angiogram" in result.output
    assert not out.exists()


def test_a_true_lesion_is_found_where_a_box_holds_its_centre():
    row = {"id": 3, "box_xy": [10, 20, 30, 40], "percent_diameter_stenosis": 61.6}
    assert _lesion_found({"centre_xy": [20.5, 30.5]}, [row]) == "lesion 3: 62 %DS"
    assert _lesion_found({"centre_xy": [31.0, 30.5]}, [row]) == "missed"
    assert _lesion_found({"centre_xy": [20.5, 30.5]}, []) == "missed"
