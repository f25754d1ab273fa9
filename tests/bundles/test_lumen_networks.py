"""The refiner and the diameter network on tiny phantoms: the loss falls, and the shipped networks score well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import run_ranks

from monai_lora_sam.adapters import read_card
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, run_files, shipped_stages
from monai_lora_sam.coronary.stages import (
    SHIPPED_DIAMETER_NETWORK,
    SHIPPED_REFINER,
    load_diameter_network,
    load_lumen_refiner,
)
from monai_lora_sam.handlers import read_history
from monai_lora_sam.workflows import bundle_folder, run_bundle

REFINEMENT, DIAMETER = "lumen_refinement", "lumen_diameter"
BUNDLES = (REFINEMENT, DIAMETER)
LOADERS = {REFINEMENT: load_lumen_refiner, DIAMETER: load_diameter_network}
SHIPPED = {REFINEMENT: SHIPPED_REFINER, DIAMETER: SHIPPED_DIAMETER_NETWORK}
Settings = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_loss_falls_and_the_written_networks_load(bundle: str, train_bundle: Callable[[str], Path]):
    output = train_bundle(bundle)
    losses = [line["loss"] for line in read_history(output / "history.jsonl")]
    assert len(losses) == 6 and np.mean(losses[-2:]) < 0.95 * losses[0]
    for name in ("best", "last"):
        card = LOADERS[bundle](output / name).card
        assert card["task"] == read_card(SHIPPED[bundle])["task"] and card["modality"] == "XA"
        json.dumps(card, allow_nan=False)


def test_two_processes_train_and_one_goes_on(
    lumen_options: Settings, bundle_command: Callable, tmp_path: Path
):
    """Both bundles lay the same file over their training."""
    files = [bundle_folder(bundle) / "configs" / "multi_gpu_train.yaml" for bundle in BUNDLES]
    assert files[0].read_text() == files[1].read_text()
    options = lumen_options(DIAMETER, tmp_path, batch_size=1, held_out=2)
    command = bundle_command(DIAMETER, ["train.yaml", "multi_gpu_train.yaml"], options)
    run_ranks(2, command, tmp_path / "output.txt")
    run_bundle(DIAMETER, overrides=lumen_options(DIAMETER, tmp_path, epochs=3, held_out=2))
    lines = read_history(tmp_path / "history.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2, 3] and lines[2]["loss"] < lines[0]["loss"]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_shipped_network_scores_well(bundle: str, lumen_options: Settings, tmp_path: Path):
    overrides = lumen_options(bundle, tmp_path, stage_folder=str(SHIPPED[bundle]))
    run = run_bundle(bundle, ["train.yaml", "evaluate.yaml"], overrides)
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    if bundle == REFINEMENT:
        assert found["val_dice"] > found["val_dice_of_stage"]
    else:
        assert found["val_error"] < 0.2 and found["val_within_tenth"] > 0.4


@pytest.mark.parametrize("bundle", BUNDLES)
def test_inference_finds_in_a_phantom_the_map_and_diameters_of_the_pipeline(
    bundle: str, train_bundle: Callable[[str], Path], phantoms: Path, tmp_path: Path
):
    train_bundle(bundle)  # draws the phantoms
    picture = sorted((phantoms / "images").glob("*.png"))[0]
    overrides = {"dataset_dir": str(picture), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    run_bundle(bundle, "inference.yaml", overrides)
    run_files([picture], tmp_path / "expected", CoronaryPipeline(shipped_stages(1)["vessels"], device="cpu"))
    folders = [tmp_path / name / picture.stem for name in ("out", "expected")]
    maps = [np.load(folder / "probability.npz")["vessels"] for folder in folders]
    np.testing.assert_array_equal(*maps)
    reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
    assert reports[0]["refiner"] and reports[0]["diameter_network"] and reports[0]["vessels"]["branches"]
    for report in reports:  # the pages show the timings, so that their hashes differ
        assert report.pop("timings_s") and report["run"].pop("files")
    assert reports[0] == reports[1]
