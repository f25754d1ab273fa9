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


@pytest.fixture
def cosmos(tmp_path: Path) -> Path:
    """Write two labelled images in COSMOS-1050K's layout."""
    root = tmp_path / "cosmos"
    for part, high in (("images", 255), ("labels", 2)):
        folder = root / "test_data" / "9_Spleen" / part
        folder.mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, high, (20, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"9_Spleen_{number}_1.png")
    (root / "data_infor_json").mkdir()
    (root / "data_infor_json" / "9_Spleen.json").write_text('{"info": {"1": "Spleen"}, "color": {"1": 1}}')
    return root


def test_cosmos_lists_objects(cosmos: Path, tmp_path: Path):
    out = tmp_path / "data"
    result = run(app, ["prepare", "cosmos", str(cosmos), "--out", str(out), "--modality", "9_Spleen=CT"])
    assert result.exit_code == 0, result.output
    assert "2 test" in result.output
    entry = json.loads((out / "datalist.json").read_text())["test"][1]
    assert (entry["modality"], entry["case_id"], entry["objects"][0]["name"]) == (
        "CT",
        "9_Spleen-1",
        "Spleen",
    )


def test_cosmos_refuses_a_modality_without_a_data_set(cosmos: Path, tmp_path: Path):
    result = run(app, ["prepare", "cosmos", str(cosmos), "--out", str(tmp_path / "data"), "--modality", "CT"])
    assert result.exit_code == 1 and "expected DATASET=MODALITY, found 'CT'" in result.output


def test_folders_without_masks_list_images_alone(pairs: tuple[str, str], tmp_path: Path):
    result = run(app, ["prepare", "folders", pairs[0], "--out", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "data" / "datalist.json").read_text())
    assert (datalist["task"], datalist["class_names"]) == ("unlabelled", [])
    assert len(datalist["training"]) == 4 and not any("label" in entry for entry in datalist["training"])
