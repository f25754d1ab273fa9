"""The pipeline with the lumen refiner: what it changes, what it must not change, and who is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from monai_lora_sam.coronary.images import Angiogram, read_angiogram
from monai_lora_sam.coronary.networks import LumenRefiner
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_phantom
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, refine_map, run_files
from monai_lora_sam.coronary.stages import SHIPPED_REFINER, save_lumen_network
from monai_lora_sam.networks import AdaptedSegmenter


@pytest.fixture
def refiner() -> LumenRefiner:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return LumenRefiner((4, 4, 4, 4, 4, 4), mixed_precision=False).eval()


@pytest.mark.parametrize("inference", ["whole", "tiled"])
def test_the_map_is_the_refiners_on_angiogram_and_stage_1(
    network: AdaptedSegmenter, refiner: LumenRefiner, picture: Path, inference: str
):
    angiogram = read_angiogram(picture)
    arguments = {"inference": inference, "device": "cpu"}
    own = CoronaryPipeline(network, refiner=None, **arguments).probability(angiogram)  # type: ignore[arg-type]
    found = CoronaryPipeline(network, refiner=refiner, **arguments)(picture)  # type: ignore[arg-type]
    expected = refine_map(refiner, angiogram.pixels, own)
    np.testing.assert_allclose(found.probability, expected, atol=1e-6)
    assert (found.vessels == (expected >= 0.5)).all() and not np.allclose(expected, own)


class Everything(torch.nn.Module):
    """Stand in for a refiner that takes all for vessel, but for what is asked for."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits[None, None], requires_grad=False)

    def forward(self, image: torch.Tensor, probability: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_only_what_lies_near_stage_1s_is_drawn():
    probability = np.zeros((256, 256), np.float32)
    probability[100:120, 20:200] = 0.9
    found = refine_map(Everything(torch.full((256, 256), 3.0)), np.zeros((256, 256)), probability)
    # 4 px in a picture of 512 are 2 in one of 256
    expected = np.zeros((256, 256), bool)
    expected[98:122, 20:200] = expected[100:120, 18:202] = expected[99:121, 19:201] = True
    assert ((found > 0) == expected).all()
    np.testing.assert_allclose(found[expected], 1 / (1 + np.exp(-3)), rtol=1e-6)


def test_gaps_are_closed_and_new_pieces_left_out():
    probability = np.full((64, 64), 0.2, np.float32)
    probability[30:34, :30] = probability[30:34, 34:] = 0.9
    logits = torch.full((64, 64), -5.0)
    logits[30:34] = 5.0  # the vessel, without its gap
    logits[5:9, 10:50] = 5.0  # and one of which stage 1 is in doubt
    found = refine_map(Everything(logits), np.zeros((64, 64)), probability)
    assert (found[30:34] > 0.9).all() and (found[5:9] < 0.5).all()


def test_where_stage_1_finds_nothing_there_is_nothing(refiner: LumenRefiner):
    assert not refine_map(refiner, np.zeros((40, 50)), np.zeros((40, 50))).any()
    with pytest.raises(ValueError, match=r"probability: expected \(1, 1, 40, 50\), found \(1, 1, 40, 40\)"):
        refine_map(refiner, np.zeros((40, 50)), np.zeros((40, 40)))


@pytest.mark.parametrize("none", [None, False])
def test_without_it_the_map_is_stage_1s(network: AdaptedSegmenter, picture: Path, none: bool | None):
    pipeline = CoronaryPipeline(network, refiner=none, device="cpu")
    assert pipeline.networks.refiner is None and pipeline.settings["refiner"] is False
    assert pipeline(picture).report["refiner"] is None


def test_what_the_stages_say_and_read_stays_the_same(
    stages: SimpleNamespace, picture: Path, refiner: LumenRefiner
):
    folders = (stages.vessels, stages.segments, stages.stenosis)
    outputs, rest = [], []
    for given in (None, refiner):
        pipeline = CoronaryPipeline(
            *folders, refiner=given, score_threshold=0.0, device="cpu", pretrained=stages.base
        )
        angiogram = read_angiogram(picture)
        image = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            outputs.append(pipeline.networks(image))
        rest.append(pipeline.predict(angiogram)[1:])
    assert torch.equal(outputs[0].vessels, outputs[1].vessels)
    assert torch.equal(outputs[0].segments, outputs[1].segments)
    assert all(torch.equal(outputs[0].lesions[name], outputs[1].lesions[name]) for name in outputs[0].lesions)
    assert np.array_equal(rest[0][0], rest[1][0]) and rest[0][1] == rest[1][1]


def test_identity_and_report_name_it(stages: SimpleNamespace, picture: Path, tmp_path: Path):
    def with_refiner(given):
        return CoronaryPipeline(stages.vessels, refiner=given, device="cpu", pretrained=stages.base)

    other = save_lumen_network(LumenRefiner((4, 4, 4, 4, 4, 4)), tmp_path / "lumen", version="7")
    pipelines = [with_refiner(given) for given in (None, True, SHIPPED_REFINER, other)]
    without, shipped, by_folder, changed = [pipeline.settings["identity"] for pipeline in pipelines]
    assert shipped == by_folder and len({without, shipped, changed}) == 3
    lumen = pipelines[-1](picture).report["refiner"]
    assert lumen["version"] == "7" and len(lumen["fingerprint"]) == 64
    assert with_refiner(LumenRefiner((4, 4, 4, 4, 4, 4))).settings["identity"] is None  # was never saved


def test_a_folder_of_results_without_it_is_not_taken_for_one_with_it(
    stages: SimpleNamespace, picture: Path, tmp_path: Path
):
    skipped = []
    for given in (False, True, True):
        pipeline = CoronaryPipeline(stages.vessels, refiner=given, device="cpu", pretrained=stages.base)
        run_files([picture], tmp_path / "out", pipeline, lambda outcome: skipped.append(outcome.skipped))
    assert skipped == [False, False, True]


def test_the_shipped_one_draws_widths_of_an_unseen_phantom_better():
    """The mean over phantoms is what `scripts/bench_qca.py` prints; here two, for a gross error."""
    before, after = [], []
    for seed in (4001, 4002):
        phantom = generate_phantom(seed, PhantomConfig())
        pixels = phantom.image.astype(np.float32) / 255
        angiogram = Angiogram(pixels, None, None, "", Path("phantom.png"), "")
        for given, scores in ((None, before), (True, after)):
            pipeline = CoronaryPipeline(refiner=given, device="cpu")
            found = pipeline.probability(angiogram) >= 0.5
            truth = phantom.vessel_mask
            scores.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    assert np.mean(after) > np.mean(before)
