"""The commands, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam import __version__
from monai_lora_sam.cli.main import app
from monai_lora_sam.encoders import build_encoder, save_encoder
from monai_lora_sam.networks import build_segmenter
from monai_lora_sam.stages import save_stage

run = CliRunner().invoke


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_encoder(build_encoder("tiny", image_size=84), tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def stage(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = build_segmenter(build_encoder("tiny", base, image_size=84), "view_segmentation")
    for parameter in network.stack.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter) if parameter.requires_grad else 0
    folder = tmp_path_factory.mktemp("stages") / "best"
    return save_stage(network, folder, task="vessels", class_names=["vessel"], metrics={"val_dice": 0.5})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 100), dtype=np.uint8)
    path = tmp_path / "angiogram.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["run"],
        ["prepare"],
        ["prepare", "arcade"],
        ["prepare", "phantom"],
        ["prepare", "cine"],
        ["prepare", "folders"],
        ["adapters"],
        ["adapters", "list"],
        ["adapters", "show"],
        ["adapters", "merge"],
        ["adapters", "budget"],
    ],
)
def test_every_command_has_help(command: list[str]):
    result = run(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output
    if command and command not in (["prepare"], ["adapters"]):
        assert "Example" in result.output


def test_version():
    assert run(app, ["--version"]).output.strip() == __version__


def test_prepare_phantom(tmp_path: Path):
    result = run(
        app, ["prepare", "phantom", "--out", str(tmp_path), "--count", "2", "--validation-fraction", "0.5"]
    )
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    assert len(datalist["training"]) == len(datalist["validation"]) == 1


def test_prepare_cine(tmp_path: Path):
    result = run(app, ["prepare", "cine", "--out", str(tmp_path), "--frames", "2", "--seed", "0"])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cine_000000000.dcm", "cine_000000000.json"]
    assert "cine_000000000.dcm" in result.output


def test_prepare_folders(shared_data: Path, tmp_path: Path):
    source = shared_data / "cimat_angio" / "train"
    result = run(
        app, ["prepare", "folders", str(source / "images"), str(source / "masks"), "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    assert len(datalist["training"]) + len(datalist["validation"]) == 40


def test_prepare_arcade_names_a_wrong_folder(tmp_path: Path):
    result = run(app, ["prepare", "arcade", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "Traceback" not in result.output


def test_adapters_show_and_merge(stage: Path, base: Path, tmp_path: Path):
    shown = run(app, ["adapters", "show", str(stage)])
    assert json.loads(shown.output)["task"] == "vessels"
    merged = run(
        app, ["adapters", "merge", str(stage), "--out", str(tmp_path / "merged"), "--pretrained", str(base)]
    )
    assert merged.exit_code == 0, merged.output
    plain = build_encoder("tiny", tmp_path / "merged")
    assert plain.fingerprint != build_encoder("tiny", base).fingerprint


def test_adapters_show_refuses_a_changed_file(stage: Path, tmp_path: Path):
    import shutil

    copy = shutil.copytree(stage, tmp_path / "copy")
    data = bytearray((copy / "head.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "head.safetensors").write_bytes(data)
    result = run(app, ["adapters", "show", str(copy)])
    assert result.exit_code == 1 and "head.safetensors" in result.output


def test_adapters_budget():
    result = run(app, ["adapters", "budget", "--encoder", "tiny", "--rank", "4"])
    assert result.exit_code == 0 and "`qv`" in result.output
