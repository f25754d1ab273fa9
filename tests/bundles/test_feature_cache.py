"""Stages 1 and 3 on stored features: the same training as without, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.utils import set_determinism

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.data import read_datalist, write_datalist
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import AdaptedSegmenter, build_segmenter
from monai_lora_sam.stages import load_stage, save_stage
from monai_lora_sam.workflows import run_bundle

BUNDLE = "vessel_segmentation"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def leave_generators_unseeded() -> Iterator[None]:
    yield
    set_determinism(None)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the batch of each pass through the encoder."""
    batches: list[int] = []
    forward = AdapterStack.forward

    def counted(self: AdapterStack, image: torch.Tensor) -> list[torch.Tensor]:
        batches.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(AdapterStack, "forward", counted)
    return batches


def test_trains_as_without_and_runs_the_encoder_once_an_image(
    passes: list[int], settings: Settings, tmp_path: Path
):
    more: dict[str, Any] = {"strategy": "frozen", "augment": False, "epochs": 3}
    run_bundle(BUNDLE, overrides=settings(tmp_path / "without", **more))
    assert sum(passes) == 3 * (4 + 3)  # four images to train on, three to validate on
    passes.clear()
    run_bundle(BUNDLE, overrides=settings(tmp_path / "with", feature_cache=True, **more))
    assert sum(passes) == 4 + 3
    without, cached = (read_history(tmp_path / name / "history.jsonl") for name in ("without", "with"))
    for line, expected in zip(cached, without, strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=1e-3)  # float16 has 11 significant bits
        assert line["val_dice"] == pytest.approx(expected["val_dice"], abs=0.01)
    passes.clear()
    options = settings(tmp_path / "again", feature_cache=True, **more)
    run_bundle(BUNDLE, overrides=options | {"feature_cache_dir": str(tmp_path / "with" / "feature_cache")})
    assert passes == []
    again = read_history(tmp_path / "again" / "history.jsonl")
    assert [line["loss"] for line in again] == [line["loss"] for line in cached]


def test_augmented_variants_are_trained_on(passes: list[int], settings: Settings, tmp_path: Path):
    more = {"strategy": "frozen", "feature_cache": True, "feature_variants": 2, "epochs": 3}
    run = run_bundle(BUNDLE, overrides=settings(tmp_path / "first", **more))
    assert sum(passes) == 3 * 4 + 3
    assert len(run.parser.get_parsed_content("train#dataset")) == 4
    run_bundle(BUNDLE, overrides=settings(tmp_path / "second", **more))
    first, second = (read_history(tmp_path / name / "history.jsonl") for name in ("first", "second"))
    assert [line["loss"] for line in first] == [line["loss"] for line in second]


def test_lora_in_the_last_blocks_trains_on_what_lies_before_them(
    passes: list[int], settings: Settings, tmp_path: Path
):
    more: dict[str, Any] = {"strategy": "lora", "lora#layers": 1, "lora#dropout": 0.0, "augment": False}
    run_bundle(BUNDLE, overrides=settings(tmp_path / "without", **more))
    assert passes
    passes.clear()
    run_bundle(BUNDLE, overrides=settings(tmp_path / "with", feature_cache=True, **more))
    assert not passes  # no image goes through the whole encoder
    without, cached = (read_history(tmp_path / name / "history.jsonl") for name in ("without", "with"))
    for line, expected in zip(cached, without, strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=2e-3)
        assert line["val_dice"] == pytest.approx(expected["val_dice"], abs=0.02)
    run_bundle(BUNDLE, overrides=settings(tmp_path / "with", feature_cache=True, epochs=3, **more))
    assert (
        len(list((tmp_path / "with" / "feature_cache").iterdir())) == 1
    )  # the trained adapter found it again


@pytest.mark.parametrize("strategy", ["lora", "last_n", "full"])
def test_a_strategy_that_moves_the_features_is_refused(strategy: str, settings: Settings, tmp_path: Path):
    assert_refused(BUNDLE, settings(tmp_path, strategy=strategy, feature_cache=True), strategy)
    assert not (tmp_path / "feature_cache").exists()


def assert_refused(bundle: str, options: dict[str, Any], strategy: str) -> None:
    with pytest.raises(Exception) as caught:
        run_bundle(bundle, overrides=options)
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    message = f"feature_cache: expected strategy 'frozen', .* found '{strategy}'"
    assert any(re.search(message, text) for text in chain)


# ---- stage 3 ----------------------------------------------------------------------------------------------------

STAGE_3 = "stenosis_detection"


@pytest.fixture(scope="module")
def lesion_settings(
    base: Path, pictures: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Save stages 1 and 2 with random weights, put lesions on the pictures, and return overrides."""
    folder = tmp_path_factory.mktemp("stages")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stack = AdapterStack(build_encoder("tiny", pretrained=base, image_size=56))
        for name, outputs in (("vessels", 1), ("segments", 26)):
            network = build_segmenter(
                stack, "view_segmentation", out_channels=outputs, name=name, width=8, lora={"r": 2}
            )
            for key, parameter in stack.named_parameters():
                if f"lora_B.{name}" in key:  # zero at first: the adapter would do nothing
                    torch.nn.init.normal_(parameter, std=0.05)
            save_stage(network, folder / name, task=name, class_names=[str(n) for n in range(outputs)])
    splits = {key: read_datalist(pictures / "datalist.json")[key] for key in ("training", "validation")}
    for index, entry in enumerate(entry for split in splits.values() for entry in split):
        entry["lesions"] = [{"box_xyxy": [20, 22, 44, 40], "percent_diameter_stenosis": 30.0 + index}]
    path = write_datalist(
        folder / "lesions.json", name="lines", task="stenosis", class_names=["stenosis"], splits=splits
    )

    def make(output: Path, **more: Any) -> dict[str, Any]:
        stages = {name: str(folder / name) for name in ("vessels", "segments")}
        given = {key: value for key, value in settings(output).items() if not key.startswith("lora")}
        return given | {"datalist_file": str(path), "augment": False} | stages | more

    return make


def test_stage_3_trains_as_without(passes: list[int], lesion_settings: Settings, tmp_path: Path):
    run_bundle(STAGE_3, overrides=lesion_settings(tmp_path / "without"))
    assert sum(passes) == 2 * 2 * (4 + 3)  # under the adapters of two stages, in two epochs
    passes.clear()
    run = run_bundle(STAGE_3, overrides=lesion_settings(tmp_path / "with", feature_cache=True))
    assert sum(passes) == 2 * (4 + 3)
    assert "image" not in run.parser.get_parsed_content("train#dataset")[0]
    without, cached = (read_history(tmp_path / name / "history.jsonl") for name in ("without", "with"))
    for line, expected in zip(cached, without, strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    (folder,) = (tmp_path / "with" / "feature_cache").iterdir()
    identity = json.loads((folder / "identity.json").read_text())
    assert identity["adapters of segments"].startswith("vessels ")
    assert {"encoder", "adapters of vessels", "head of vessels", "head of segments"} <= identity.keys()


def test_stage_3_with_another_head_below_has_another_cache(
    passes: list[int], lesion_settings: Settings, tmp_path: Path
):
    cache = str(tmp_path / "shared")
    options = lesion_settings(tmp_path / "first", epochs=1, feature_cache=True, feature_cache_dir=cache)
    run_bundle(STAGE_3, overrides=options)
    segments = load_stages(options)
    with torch.no_grad():
        segments.head.classify.bias.add_(0.1)
    changed = tmp_path / "segments"
    save_stage(segments, changed, task="segments", class_names=[str(number) for number in range(26)])
    passes.clear()
    more = {"segments": str(changed), "output_dir": str(tmp_path / "second")}
    run_bundle(STAGE_3, overrides=options | more)
    assert sum(passes) == 2 * (4 + 3)
    assert len(list((tmp_path / "shared").iterdir())) == 2


def load_stages(options: dict[str, Any]) -> AdaptedSegmenter:
    """Load stage 2 on stage 1."""
    stack = AdapterStack(build_encoder("tiny", pretrained=options["pretrained"], image_size=56))
    load_stage(options["vessels"], stack)
    return load_stage(options["segments"], stack)


def test_stage_3_moving_what_is_below_is_refused(lesion_settings: Settings, tmp_path: Path):
    assert_refused(STAGE_3, lesion_settings(tmp_path, strategy="full", feature_cache=True), "full")
