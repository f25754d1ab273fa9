"""``monai-lora-sam prepare folders`` and ``combine``, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

run = CliRunner().invoke


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[str, str]:
    """Write five images with masks."""
    generator = np.random.default_rng(0)
    for part, high in (("images", 255), ("masks", 2)):
        (tmp_path / part).mkdir()
        for number in range(5):
            pixels = generator.integers(0, high, (20, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / part / f"{number}.png")
    return str(tmp_path / "images"), str(tmp_path / "masks")


def test_folders_are_split(pairs: tuple[str, str], tmp_path: Path):
    result = run(app, ["prepare", "folders", *pairs, "--out", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "data" / "datalist.json").read_text())
    assert (len(datalist["training"]), len(datalist["validation"])) == (4, 1)
    assert (datalist["task"], datalist["class_names"]) == ("segmentation", ["background", "foreground"])
    assert "4 training, 1 validation" in result.output


def test_combine_counts_a_set_twice(pairs: tuple[str, str], tmp_path: Path):
    data = str(tmp_path / "data")
    run(app, ["prepare", "folders", *pairs, "--out", data, "--task", "vessels", "--class-name", "vessel"])
    result = run(
        app, ["prepare", "combine", data, data, "--task", "vessels", "--out", str(tmp_path / "twice")]
    )
    assert result.exit_code == 0, result.output
    assert "8 training, 1 validation" in result.output


def test_combine_refuses_another_task(pairs: tuple[str, str], tmp_path: Path):
    data = str(tmp_path / "data")
    run(app, ["prepare", "folders", *pairs, "--out", data, "--task", "vessels", "--class-name", "vessel"])
    for task in ("segments", "kidney"):
        result = run(app, ["prepare", "combine", data, "--task", task, "--out", str(tmp_path / "other")])
        assert result.exit_code == 1 and f"for the task '{task}'" in result.output


def test_real_folders(shared_data: Path, tmp_path: Path):
    source = shared_data / "cimat_angio" / "train"
    result = run(
        app, ["prepare", "folders", str(source / "images"), str(source / "masks"), "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    assert len(datalist["training"]) + len(datalist["validation"]) == 40
