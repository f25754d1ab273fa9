"""``monai-lora-sam plan``."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from typer.testing import CliRunner

from monai_lora_sam.cli.plan import app


def _run(*arguments: str):
    return CliRunner().invoke(
        app, ["--encoder", "tiny", "--image-size", "112", "--head", "segmentation", *arguments]
    )


def test_the_plan_as_json():
    result = _run("--json", "-")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["fits"] and not found["changes"]
    assert found["peak_gib"] == pytest.approx(sum(found["parts_gib"].values()), abs=0.01)
    assert set(found["parts_gib"]) >= {
        "weights",
        "gradients",
        "optimiser",
        "activations",
        "temporaries",
        "constant",
    }
    assert found["largest_batch"] > 1


def test_changes_and_their_settings(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_lora_sam.memory.advice.ENOUGH", 2)
    file = tmp_path / "fits.yaml"
    result = _run("--batch", "200", "--gpu", "1GB", "--apply", str(file))
    assert result.exit_code == 0, result.output
    assert "does not fit" in result.output and "checkpointing" in result.output
    settings = yaml.safe_load(file.read_text())
    assert settings["encoder_name"] == "tiny" and settings["batch_size"] < 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpu", "H100"], "gpu: expected a size"),
        (["--strategy", "half"], "strategy: expected one of"),
        (["--image-size", "100"], "nearest: 98 or 112"),
        (["--encoder", "mini", "--image-size", "64", "--quantise", "nf4"], "convolutions alone"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    result = _run(*arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the check runs")
def test_a_check_without_a_gpu_is_refused():
    result = _run("--check")
    assert result.exit_code == 1
    assert "expected a CUDA GPU, found none" in result.output
