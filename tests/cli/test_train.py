"""``monai-lora-sam train``, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms


def train(*arguments: object):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_a_small_stage_with_keys_of_all_forms(tmp_path: Path):
    data = prepare_phantoms(
        tmp_path / "data", 4, 1, 0.5, config=PhantomConfig(image_size=64, background=False)
    )
    keys = ["--dataset-dir", data.parent, "--out", tmp_path / "out", "--weights", False, "--image-size", 64]
    keys += [
        "--batch=2",
        "--epochs",
        1,
        "--lora#r",
        3,
        "--head_width",
        8,
        "--seed",
        -3,
        "--show_progress",
        False,
    ]
    result = train("vessel_segmentation", *keys, "--device", "$torch.device('cpu')")
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    best = tmp_path / "out" / "best"
    assert f"Stage: {best}" in result.output
    assert json.loads((best / "adapter_config.json").read_text())["r"] == 3
    assert len((tmp_path / "out" / "history.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vessel_segmentaton"], "bundle: expected one of"),
        (["vessel_segmentation", "--seed", -3, "--epoch", 1], "--epoch: expected a key of train.yaml"),
        (["vessel_segmentation", "--epochs"], "--epochs: expected a value"),
        (["vessel_segmentation", "--split", "test"], "--split: expected a key of train.yaml"),
    ],
)
def test_a_wrong_bundle_or_key_is_one_line(arguments: list[object], message: str):
    result = train(*arguments)
    assert result.exit_code == 1
    assert f"error: {message}" in result.output and len(result.output.splitlines()) == 1
