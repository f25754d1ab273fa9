"""``monai-lora-sam evaluate``, as a user types it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from typer.testing import CliRunner

from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms


def evaluate(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_scores_of_a_stage(stages: SimpleNamespace, tmp_path: Path):
    data = prepare_phantoms(
        tmp_path / "data", 3, 1, 0.5, config=PhantomConfig(image_size=64, background=False)
    )
    keys = ["--dataset_dir", data.parent, "--stage_folder", stages.vessels, "--weights", stages.base]
    keys += ["--out", tmp_path / "out", "--split", "validation", "--device", "$torch.device('cpu')"]
    result = evaluate("vessel_segmentation", *keys)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    assert "val_dice 0." in result.output
    assert (tmp_path / "out" / "evaluation" / "metrics.csv").is_file()


def test_a_wrong_key_is_one_line():
    result = evaluate("vessel_segmentation", "--stage_folders", "x")
    assert result.exit_code == 1
    assert "expected a key of train.yaml, evaluate.yaml, found 'stage_folders'" in result.output
    assert "nearest: --stage_folder)" in result.output
