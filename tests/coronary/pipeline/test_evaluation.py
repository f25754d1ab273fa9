"""A run over many images through MONAI's evaluator: results, errors of each kind, interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, IterableDataset
from monai.engines import PrepareBatchExtraInput, SupervisedEvaluator
from monai.transforms import Compose
from PIL import Image

from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.pipeline import (
    AngiogramRun,
    CoronaryPipeline,
    FindVesselsd,
    LastStage,
    ReadAngiogramd,
    RunOptions,
    WriteResults,
)
from monai_lora_sam.networks import AdaptedSegmenter
from monai_lora_sam.transforms import as_meta_tensor

Make = Callable[..., tuple[AngiogramRun, SupervisedEvaluator]]


@pytest.fixture
def make(network: AdaptedSegmenter, picture: Path, tmp_path: Path) -> Make:
    """Return a function that puts a run over three images into an evaluator, with a transform of the test's."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(picture.read_bytes())

    def build(broken: Callable[[dict], dict] = lambda item: item, **options):
        pipeline = CoronaryPipeline(network, refiner=None, diameter_network=None, device="cpu")
        run = AngiogramRun([tmp_path], tmp_path / "out", pipeline, RunOptions(**options))
        chain = Compose([ReadAngiogramd("image", run), pipeline.preprocessing])
        evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader(IterableDataset(run, chain), batch_size=1),
            network=LastStage(pipeline.networks),
            prepare_batch=PrepareBatchExtraInput({"view": "view"}),
            inferer=pipeline.inferer,
            postprocessing=Compose([pipeline.postprocessing, broken]),
            val_handlers=[WriteResults(run)],
        )
        return run, evaluator

    return build


def test_each_image_gets_the_results_of_the_pipeline(make: Make, picture: Path, tmp_path: Path):
    run, evaluator = make(view=(10.0, 5.0), pixel_spacing_mm=0.3)
    assert [(path.name, error) for path, error in run.evaluate(evaluator)] == [
        ("a.png", None),
        ("b.png", None),
        ("vessel.png", None),
    ]
    expected = run.pipeline(picture, view=(10.0, 5.0), pixel_spacing_mm=0.3)
    mask = np.asarray(Image.open(tmp_path / "out" / "b" / "vessels.png"))
    np.testing.assert_array_equal(mask > 0, expected.vessels)
    assert all(outcome.seconds > 0 and outcome.summary for outcome in run.outcomes)


def test_an_error_behind_the_network_is_of_one_image(make: Make):
    def broken(item: dict) -> dict:
        if item["image"].meta["filename_or_obj"].endswith("b.png"):
            raise KeyError("lost")
        return item

    run, evaluator = make(broken)
    errors = {path.name: error for path, error in run.evaluate(evaluator)}
    assert errors == {"a.png": None, "b.png": "KeyError: 'lost'", "vessel.png": None}


def test_unreadable_images_only(make: Make, tmp_path: Path):
    for path in tmp_path.glob("*.png"):
        path.write_bytes(b"no image")
    run, evaluator = make()
    assert all(str(error).startswith("expected PNG") for _, error in run.evaluate(evaluator))
    assert len(run.outcomes) == 3 and "0 done, 3 failed" in (tmp_path / "out" / "index.html").read_text()


def test_an_interruption_ends_the_run(make: Make):
    def interrupted(item: dict) -> dict:
        raise KeyboardInterrupt

    run, evaluator = make(interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.evaluate(evaluator)


def test_a_missing_folder_is_an_error(network: AdaptedSegmenter, tmp_path: Path):
    pipeline = CoronaryPipeline(network, refiner=None, diameter_network=None, device="cpu")
    with pytest.raises(FileNotFoundError, match="nowhere: expected a file or a folder"):
        list(AngiogramRun([tmp_path / "nowhere"], tmp_path / "out", pipeline))


def test_vessels_found_in_an_item_are_those_of_the_pipeline(network: AdaptedSegmenter, picture: Path):
    pipeline = CoronaryPipeline(network, refiner=None, diameter_network=None, device="cpu")
    angiogram = replace(read_angiogram(picture), view=(10.0, 5.0))
    item = {"image": as_meta_tensor(angiogram.pixels, str(picture)), "view": angiogram.view, "case": "a"}
    found = FindVesselsd("image", pipeline)(item)
    np.testing.assert_array_equal(found["probability"][0].numpy(), pipeline.probability(angiogram))
    assert found["image"] is item["image"] and found["case"] == "a" and "probability" not in item


def test_vessels_are_found_with_view_angles(network: AdaptedSegmenter):
    pipeline = CoronaryPipeline(network, refiner=None, diameter_network=None, device="cpu")
    with pytest.raises(KeyError, match="view"):
        FindVesselsd("image", pipeline)({"image": torch.zeros(1, 56, 56)})
