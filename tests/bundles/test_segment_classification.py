"""Stage 2 end to end on small pictures: on a frozen stage 1, which stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "segment_classification"
CONFIGS = bundle_folder(BUNDLE) / "configs"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def trained(train_bundle: Callable[[str], Path]) -> Path:
    return train_bundle(BUNDLE)


@pytest.fixture(scope="module")
def options(bundle_options: Settings) -> Settings:
    return partial(bundle_options, BUNDLE)


@pytest.fixture(scope="module")
def vessels(below: dict[str, str]) -> Path:
    return Path(below["vessels"])


def load_both(vessels: Path, segments: Path, base: Path):
    stack = AdapterStack(build_encoder("tiny", base, 56))
    first = load_stage(vessels, stack, mixed_precision=False)
    return first, load_stage(segments, stack, mixed_precision=False)


def test_card_says_what_it_is_and_what_it_stands_on(trained: Path, vessels: Path):
    card = read_card(trained / "best")
    assert (card["task"], card["class_names"]) == ("segments", ARCADE_CLASS_NAMES)
    assert card["adapters"] == ["vessels", "segments"]
    assert card["parents"] == [{"name": "vessels", "fingerprint": read_card(vessels)["fingerprint"]}]
    scores = {"val_macro_f1", "val_accuracy", "val_set_f1"}
    assert scores <= card["metrics"].keys()
    history = read_history(trained / "history.jsonl")
    assert all(scores <= line.keys() for line in history)
    assert history[-1]["loss"] < history[0]["loss"]


def test_stage_1_is_bit_equal_with_stage_2_on_its_stack(trained: Path, vessels: Path, base: Path):
    image, view = torch.randn(2, 3, 56, 56), torch.tensor([[30.0, -20.0], [float("nan")] * 2])
    alone = load_stage(vessels, pretrained=base, mixed_precision=False)
    with torch.no_grad():
        expected = alone(image, view=view)
        first, second = load_both(vessels, trained / "best", base)
        named = second(image, view=view)
        assert torch.equal(first(image, view=view), expected)
        assert torch.equal(second(image, view=view), named), (
            "and switching back does not change stage 2 either"
        )
        assert torch.equal(second(image, view=view, features=second.read(image)), named)
    assert named.shape == (2, len(ARCADE_CLASS_NAMES), 56, 56)


def test_training_does_not_touch_the_folder_of_stage_1(vessels: Path, options: Settings, tmp_path: Path):
    before = {path.name: path.read_bytes() for path in vessels.iterdir()}
    run_bundle(BUNDLE, overrides=options(tmp_path, epochs=1))
    assert {path.name: path.read_bytes() for path in vessels.iterdir()} == before


@pytest.mark.parametrize("strategy", ["frozen", "last_n", "full"])
def test_each_strategy_by_one_key(strategy: str, options: Settings, tmp_path: Path):
    run = run_bundle(BUNDLE, overrides=options(tmp_path, strategy=strategy, epochs=1))
    network = run.parser.get_parsed_content("network_def")
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    moved = {name for name in trained if name.startswith("stack.")}
    assert bool(moved) == (strategy != "frozen")
    assert any("lora_" in name for name in moved) == (strategy == "full"), "full moves the adapters as well"
    assert read_card(tmp_path / "best")["strategy"] == strategy


def test_another_version_of_stage_1_is_refused(trained: Path, settings: Settings, base: Path, tmp_path: Path):
    run_bundle("vessel_segmentation", overrides=settings(tmp_path, epochs=1, seed=5))
    with pytest.raises(
        ValueError, match=r"expected its parent 'vessels' with fingerprint .*found 'vessels' with"
    ):
        load_both(tmp_path / "best", trained / "best", base)


def test_stage_2_without_stage_1_is_refused(trained: Path, base: Path):
    with pytest.raises(ValueError, match=r"expected its parent 'vessels'.*load the parents first"):
        load_stage(trained / "best", pretrained=base)


def test_vessel_masks_are_no_segment_maps(
    options: Settings, pictures: Path, messages: Callable, tmp_path: Path
):
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options(tmp_path, dataset_dir=str(pictures)))
    assert any("expected a data set for the task 'segments'" in text for text in messages(caught.value))


def test_a_stage_1_in_4_bits_below(settings: Settings, options: Settings, base: Path, tmp_path: Path):
    pytest.importorskip("bitsandbytes")
    first, second = tmp_path / "vessels", tmp_path / "segments"
    run_bundle("vessel_segmentation", overrides=settings(first, quantise="nf4", epochs=1))
    run_bundle(BUNDLE, overrides=options(second, vessels=str(first / "last"), epochs=1))
    assert [read_card(folder / "last")["encoder"]["quantisation"] for folder in (first, second)] == [
        "nf4"
    ] * 2
    overrides = settings(first, stage_folder=str(first / "last"), scores_dir=str(tmp_path / "scores"))
    run_bundle("vessel_segmentation", ["train.yaml", "evaluate.yaml"], overrides)  # the card says 4 bits
    network = load_stage(second / "last", parents=[first / "last"], pretrained=base)
    assert network.stack.encoder.quantisation == "nf4" and network.adapters == ("vessels", "segments")
