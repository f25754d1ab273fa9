"""Misspelt keys and wrong values are refused before a run, through Python and through MONAI's own command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from forked import Forked, module, wait_for

from monai_lora_sam.workflows import bundle_folder, check_value, run_bundle

BUNDLES = sorted(
    path.parents[1].name for path in bundle_folder("vessel_segmentation").parent.glob("*/configs/train.yaml")
)
NAN = float("nan")


@pytest.mark.parametrize("bundle", [*BUNDLES, "coronary_pipeline"])
def test_every_key_is_declared_or_a_part_of_the_run(bundle: str):
    configs = bundle_folder(bundle) / "configs"
    declared = yaml.safe_load((configs / "settings.yaml").read_text(encoding="utf-8"))
    tops = {key.split("#")[0] for key in declared["values"]}
    for file in ("train.yaml", "evaluate.yaml", "inference.yaml"):
        if not (configs / file).is_file():
            continue
        for key, value in yaml.safe_load((configs / file).read_text(encoding="utf-8")).items():
            part = isinstance(value, dict | list) or "$" in str(value) or key == "sampler"
            assert key in tops or "::" in key or part, f"{file}: {key}"
            if key in declared["values"] and not str(value).startswith("$"):
                values = {"epochs": 100, "crop_window": 336}
                check_value(key, value, declared["values"][key], values)
    assert set(declared["may_change"]) <= set(declared["values"])


@pytest.mark.parametrize(
    ("bundle", "key", "value", "message"),
    [
        ("vessel_segmentation", "epoch", 8, r"--epoch: expected a key of train.yaml.*nearest: --epochs"),
        ("vessel_segmentation", "lora#rr", 8, r"--lora#rr: expected a key.*nearest: --lora#r\)"),
        ("vessel_segmentation", "lor#r", 8, r"--lor: expected a key.*nearest: --lora\)"),
        ("vessel_segmentation", "train#trainer#max_epoch", 8, r"nearest: --train#trainer#max_epochs"),
        ("vessel_segmentation", "split", "test", "--split: expected a key of train.yaml"),
        (
            "vessel_segmentation",
            "learning_rate",
            -1,
            "--learning_rate: expected number above 0 to 1, found -1",
        ),
        ("vessel_segmentation", "learning_rate", NAN, "found nan"),
        ("vessel_segmentation", "lora#r", 0, "--lora#r: expected integer from 1, found 0"),
        ("vessel_segmentation", "lora#dropout", 2, "--lora#dropout: expected number from 0 below 1"),
        ("vessel_segmentation", "image_size", 0, "--image_size"),
        (
            "vessel_segmentation",
            "val_interval",
            30,
            "--val_interval: expected integer from 1 to epochs, found 30",
        ),
        ("segment_classification", "dice_weight", NAN, "--dice_weight"),
        ("stenosis_detection", "mld_weight", -1, "--mld_weight"),
        ("lumen_refinement", "batch_size", 2.5, "--batch_size: expected integer from 1, found 2.5"),
        ("lumen_diameter", "features", [24, 0, 48], "--features: expected integers from 1"),
    ],
)
def test_a_wrong_key_or_value_is_refused(bundle: str, key: str, value: Any, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        run_bundle(bundle, overrides={"output_dir": str(tmp_path / "out"), key: value})
    assert not (tmp_path / "out").exists()


def test_a_wrong_key_in_a_file_of_ones_own(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("epoch: 8\n")
    with pytest.raises(ValueError, match="nearest: --epochs"):
        run_bundle("vessel_segmentation", ["train.yaml", tmp_path / "mine.yaml"])


@pytest.mark.parametrize(
    ("options", "last"),
    [
        (["--epoch", "8"], "error: --epoch: expected a key of train.yaml, found 'epoch' (nearest: --epochs)"),
        (["--resume", "no"], "error: --resume: expected true or false, found 'no'"),
    ],
)
def test_monais_own_command_ends_with_the_cause(options: list[str], last: str, tmp_path: Path):
    config = bundle_folder("vessel_segmentation") / "configs" / "train.yaml"
    words = ["monai.bundle", "run", "--config_file", str(config), *options]
    command = Forked(module(words), tmp_path / "output.txt", folder=tmp_path)
    with pytest.raises(AssertionError, match="ended with 1"):
        wait_for(command)
    assert command.said().splitlines()[-1].startswith(last) and "Traceback" not in command.said()
