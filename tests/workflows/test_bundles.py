"""Bundles found by name and run from Python; every bundle's own tests run them whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.workflows import (
    bundle_folder,
    bundle_settings,
    run_bundle,
    run_bundle_together,
    training_steps,
)

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
NAMES = sorted(folder.parent.name for folder in BUNDLES.glob("*/configs"))


@pytest.mark.parametrize("name", NAMES)
def test_every_bundle_is_found_by_name(name: str):
    assert (bundle_folder(name) / "configs" / "metadata.json").is_file()


def test_an_unknown_bundle_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"bundle: expected one of \[.*'vessel_segmentation'.*found 'kidneys'"
    ):
        bundle_folder("kidneys")


def test_steps_of_a_run():
    assert training_steps([0] * 7, epochs=3) == 21
    with pytest.raises(ValueError, match="expected at least one batch a process, found fewer"):
        training_steps([], epochs=3)


def test_a_configuration_of_ones_own_is_run_with_its_overrides(tmp_path: Path):
    config = tmp_path / "own.yaml"
    config.write_text(
        "imports:\n- $import pathlib\nepochs: 1\nout: ''\n"
        "initialize: []\nrun:\n- $pathlib.Path(@out).write_text(str(@epochs))\nfinalize: []\n"
    )
    out = tmp_path / "epochs.txt"
    run_bundle("vessel_segmentation", [config], {"epochs": 8, "out": str(out)})
    assert out.read_text() == "8"


def test_settings_are_checked_without_a_run(tmp_path: Path):
    given = {"output_dir": str(tmp_path / "out"), "lora#r": 4, "lora#alpha": "$2 * @lora#r", "epochs": 3}
    settings = bundle_settings("vessel_segmentation", overrides=given)
    assert (settings["fixed"]["lora#r"], settings["fixed"]["lora#alpha"]) == (4, 8)
    assert settings["free"]["epochs"] == 3 and "epochs" not in settings["fixed"]
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"--epoch: expected a key of train\.yaml"):
        bundle_settings("vessel_segmentation", overrides={"epoch": 3})
    with pytest.raises(ValueError, match="--epochs: expected integer from 1, found 0"):
        bundle_settings("vessel_segmentation", overrides={"epochs": 0})


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="batch size: expected a multiple of 2 processes, found 3"):
        run_bundle_together("vessel_segmentation", 2, overrides={"batch_size": 3})
