"""The bundles of the refiner and the diameter network on tiny phantoms: train, stop, go on, evaluate, infer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import verify_metadata
from monai.utils import set_determinism

from monai_lora_sam.adapters import read_card
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
SMALL: dict[str, dict[str, Any]] = {
    REFINEMENT: {"features": [4, 4, 4, 4, 4, 4], "crop_window": 96, "crop_side": 64},
    DIAMETER: {"features": [4, 4, 4], "along": 4, "crops_per_epoch": 16},
}
LOADERS = {REFINEMENT: load_lumen_refiner, DIAMETER: load_diameter_network}
SHIPPED = {REFINEMENT: SHIPPED_REFINER, DIAMETER: SHIPPED_DIAMETER_NETWORK}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give both bundles one folder, so that the phantoms are drawn once."""
    return tmp_path_factory.mktemp("phantoms")


def settings(bundle: str, phantoms: Path, output: Path, **more: Any) -> dict[str, Any]:
    common = {
        "dataset_dir": str(phantoms),
        "output_dir": str(output),
        "phantoms": 4,
        "held_out": 1,
        "phantom_seed": 5,
        "epochs": 6,
        "batch_size": 2,
        "learning_rate": 0.02,
        "warm_up": 0.0,
        "mixed_precision": False,
        "show_progress": False,
        "device": "cpu",
    }
    return common | SMALL[bundle] | more


def history(output: Path) -> list[dict[str, Any]]:
    lines = read_history(output / "history.jsonl")
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.fixture(scope="module", params=BUNDLES)
def trained(
    request: pytest.FixtureRequest, one_thread: None, phantoms: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Train six epochs; return the bundle's name and the output folder."""
    output = tmp_path_factory.mktemp(request.param)
    run_bundle(request.param, overrides=settings(request.param, phantoms, output))
    return request.param, output


def test_the_loss_falls_and_what_is_written_loads(trained: tuple[str, Path]):
    bundle, output = trained
    lines = history(output)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    losses = [line["loss"] for line in lines]
    assert np.mean(losses[-2:]) < 0.95 * losses[0]
    for name in ("best", "last"):
        card = LOADERS[bundle](output / name).card
        assert card["task"] == read_card(SHIPPED[bundle])["task"] and card["modality"] == "XA"
        json.dumps(card, allow_nan=False)
    assert card["epoch"] == 6


def test_a_broken_run_ends_like_an_unbroken_one(trained: tuple[str, Path], phantoms: Path, tmp_path: Path):
    bundle, straight = trained
    broken = settings(bundle, phantoms, tmp_path)
    run_bundle(bundle, overrides=broken | {"train#trainer#max_epochs": 3})
    assert len(history(tmp_path)) == 3
    run_bundle(bundle, overrides=broken)
    assert history(tmp_path) == history(straight)
    files = [read_card(folder / "last")["files"] for folder in (tmp_path, straight)]
    assert files[0] == files[1]  # checksums


def test_evaluation_gives_the_scores_that_training_noted(
    trained: tuple[str, Path], phantoms: Path, tmp_path: Path
):
    bundle, output = trained
    overrides = settings(bundle, phantoms, output, scores_dir=str(tmp_path))
    run = run_bundle(bundle, ["train.yaml", "evaluate.yaml"], overrides)
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    noted = read_card(output / "best")["metrics"]
    assert {name: float(value) for name, value in found.items()} == pytest.approx(noted, abs=1e-6)
    assert (tmp_path / "metrics.csv").is_file()


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_shipped_network_scores_well(bundle: str, phantoms: Path, tmp_path: Path):
    overrides = settings(bundle, phantoms, tmp_path, stage_folder=str(SHIPPED[bundle]))
    run = run_bundle(bundle, ["train.yaml", "evaluate.yaml"], overrides)
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    if bundle == REFINEMENT:
        assert found["val_dice"] > found["val_dice_of_stage"]
    else:
        assert found["val_error"] < 0.2 and found["val_within_tenth"] > 0.4


@pytest.mark.parametrize("bundle", BUNDLES)
def test_inference_writes_the_pipelines_files(bundle: str, phantoms: Path, tmp_path: Path):
    picture = sorted((phantoms / "images").glob("*.png"))[0]
    overrides = {"dataset_dir": str(picture), "output_dir": str(tmp_path), "device": "cpu"}
    run_bundle(bundle, "inference.yaml", overrides)
    report = json.loads((tmp_path / picture.stem / "report.json").read_text())
    assert report["lumen"] and report["gauge"] and (tmp_path / picture.stem / "vessels.png").is_file()


@pytest.mark.parametrize("bundle", BUNDLES)
def test_metadata_fits_its_schema(bundle: str, tmp_path: Path):
    schema = tmp_path / "schema.json"  # an existing file is not downloaded again
    schema.write_bytes((Path(__file__).parent / "metadata_schema.json").read_bytes())
    verify_metadata(meta_file=str(bundle_folder(bundle) / "configs" / "metadata.json"), filepath=schema)
