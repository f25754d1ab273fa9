"""The commands, as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
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
    network = build_segmenter(build_encoder("tiny", base, image_size=84), "view_segmentation", name="vessels")
    for parameter in network.stack.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter) if parameter.requires_grad else 0
    folder = tmp_path_factory.mktemp("stages") / "best"
    return save_stage(network, folder, task="vessels", class_names=["vessel"], metrics={"val_dice": 0.5})


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
        ["prepare", "combine"],
        ["adapt"],
        ["train"],
        ["evaluate"],
        ["qca"],
        ["syntax-score"],
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


def test_the_help_lists_all_commands_and_loads_no_torch():
    code = (
        "import sys; from monai_lora_sam.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: sys.exit([name for name in ('torch', 'monai') if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = re.findall(r"^│ ([a-z][a-z-]+)  ", done.stdout, re.MULTILINE)
    expected = ["adapt", "adapters", "demo", "evaluate", "prepare", "qca", "run", "syntax-score", "train"]
    assert sorted(set(expected) & set(listed)) == expected


def test_a_wrong_command_is_answered_with_the_nearest():
    result = run(app, ["rnu"])
    assert result.exit_code == 2 and "'run'" in result.output


def test_version():
    assert run(app, ["--version"]).output.strip() == __version__


def test_adapters_show_and_merge(stage: Path, base: Path, tmp_path: Path):
    shown = run(app, ["adapters", "show", str(stage)])
    assert json.loads(shown.output)["task"] == "vessels"
    merged = run(
        app, ["adapters", "merge", str(stage), "--out", str(tmp_path / "merged"), "--weights", str(base)]
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
