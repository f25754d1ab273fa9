"""Stage 3 end to end on small pictures: on frozen stages 1 and 2, which stay what they were."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import run_ranks
from safetensors import safe_open

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.data import read_datalist
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import AdaptedSegmenter
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "stenosis_detection"
CONFIGS = bundle_folder(BUNDLE) / "configs"
SCORES = {"val_f1", "val_f1_distance", "val_average_precision", "val_percent_error", "val_mld_error"}
IMAGE = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(3))
VIEW = torch.tensor([[30.0, -20.0], [float("nan"), float("nan")]])
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def trained(train_bundle: Callable[[str], Path]) -> Path:
    return train_bundle(BUNDLE)


@pytest.fixture(scope="module")
def options(bundle_options: Settings) -> Settings:
    return partial(bundle_options, BUNDLE)


def load_all(
    folder: Path, below: dict[str, str], base: Path
) -> tuple[AdaptedSegmenter, AdaptedSegmenter, Any]:
    stack = AdapterStack(build_encoder("tiny", base, 56))
    first = load_stage(below["vessels"], stack, mixed_precision=False)
    second = load_stage(below["segments"], stack, mixed_precision=False)
    return (
        first,
        second,
        load_stage(folder, reads={"vessels": first, "segments": second}, mixed_precision=False),
    )


def files(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_card(trained: Path, below: dict[str, str]):
    history = read_history(trained / "history.jsonl")
    assert len(history) == 3 and all(line.keys() >= SCORES for line in history)
    assert history[-1]["loss"] < history[0]["loss"]
    card = read_card(trained / "best")
    assert (card["task"], card["class_names"], card["strategy"]) == ("stenosis", ["stenosis"], "frozen")
    assert card["metrics"].keys() >= SCORES and card["score_threshold"] == 0.3
    expected = [{"name": name, "fingerprint": read_card(below[name])["fingerprint"]} for name in below]
    assert card["parents"] == expected
    with safe_open(trained / "best" / "head.safetensors", "pt") as tensors:
        assert set(card["files"]) == {"head.safetensors"} and len(list(tensors.keys())) > 10
    state = torch.load(trained / "training_state.pt", weights_only=True)["network"]
    assert state and all(name.startswith("head.") for name in state)


def test_stages_1_and_2_are_bit_equal_before_and_after(
    options: Settings, below: dict[str, str], base: Path, trained: Path, tmp_path: Path
):
    before = {name: files(folder) for name, folder in below.items()}
    run = run_bundle(BUNDLE, overrides=options(tmp_path, epochs=1))
    network = run.parser.get_parsed_content("network_def")
    for order in (
        torch.contiguous_format,
        torch.channels_last,
    ):  # sums come in another order; training has the latter
        stack = AdapterStack(build_encoder("tiny", base, 56))
        alone = load_stage(below["vessels"], stack, mixed_precision=False).to(memory_format=order)
        with torch.no_grad():
            vessels = alone(IMAGE, view=VIEW)
            both = load_stage(below["segments"], stack, mixed_precision=False).to(memory_format=order)
            segments = both(IMAGE, view=VIEW)
            first, second, detector = load_all(trained / "best", below, base)
            detector.to(memory_format=order)(IMAGE, view=VIEW)
            assert torch.equal(first(IMAGE, view=VIEW), vessels) and torch.equal(
                second(IMAGE, view=VIEW), segments
            )
    with torch.no_grad():
        assert torch.equal(network.vessels(IMAGE, view=VIEW), vessels)
        assert torch.equal(network.segments(IMAGE, view=VIEW), segments)
    assert {name: files(folder) for name, folder in below.items()} == before


def test_the_saved_detector_is_the_trained_one(
    options: Settings, below: dict[str, str], base: Path, tmp_path: Path
):
    run = run_bundle(BUNDLE, overrides=options(tmp_path, epochs=1))
    network = run.parser.get_parsed_content("averaged")
    loaded = load_all(tmp_path / "last", below, base)[2].to(memory_format=torch.channels_last)
    with torch.no_grad():
        found, expected = loaded(IMAGE, view=VIEW), network(IMAGE, view=VIEW)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_full_moves_base_and_adapters_at_their_own_rate(
    options: Settings, below: dict[str, str], base: Path, tmp_path: Path
):
    more = {"strategy": "full", "epochs": 1, "learning_rate": 0.01, "base_learning_rate": 0.0001}
    run = run_bundle(BUNDLE, overrides=options(tmp_path, **more))
    network = run.parser.get_parsed_content("network_def")
    groups = run.parser.get_parsed_content("optimizer").param_groups
    assert [group["initial_lr"] for group in groups] == [0.01, 0.0001]
    assert {p for group in groups[1:] for p in group["params"]} == {
        p for p in network.stack.parameters() if p.requires_grad
    }
    assert read_card(tmp_path / "last")["strategy"] == "full"
    alone = load_stage(below["vessels"], pretrained=base, mixed_precision=False)
    first = load_all(tmp_path / "last", below, base)[0]
    with torch.no_grad():
        assert not torch.equal(first(IMAGE, view=VIEW), alone(IMAGE, view=VIEW)), (
            "what full moves stage 1 forgets"
        )


def test_full_with_gradient_checkpointing_is_refused(options: Settings, messages: Callable, tmp_path: Path):
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options(tmp_path, strategy="full", gradient_checkpointing=True))
    assert any("expected gradient_checkpointing off, found it on" in text for text in messages(caught.value))


def test_going_on_from_a_trained_one(trained: Path, options: Settings, tmp_path: Path):
    run = run_bundle(
        BUNDLE,
        overrides=options(
            tmp_path, start_from=str(trained / "best"), head_width=None, epochs=1, learning_rate=1e-30
        ),
    )
    assert run.parser.get_parsed_content("network_def").head.width == 8
    assert files(tmp_path / "last")["head.safetensors"] == files(trained / "best")["head.safetensors"]


def test_another_version_of_a_stage_below_is_refused(
    trained: Path, below: dict[str, str], base: Path, write_random_stages: Callable, tmp_path: Path
):
    other = write_random_stages(tmp_path, base, seed=5)
    with pytest.raises(ValueError, match="expected its parent 'vessels' with fingerprint"):
        load_all(trained / "best", below | {"vessels": other["vessels"]}, base)
    with pytest.raises(ValueError, match=r"reads the stage 'vessels' with the head .*another version"):
        load_all(trained / "best", other, base)


def test_two_processes(options: Settings, bundle_command: Callable, tmp_path: Path):
    files = ["train.yaml", "multi_gpu_train.yaml"]
    run_ranks(
        2, bundle_command(BUNDLE, files, options(tmp_path, batch_size=1, epochs=1)), tmp_path / "output.txt"
    )
    (line,) = read_history(tmp_path / "history.jsonl")
    assert line.keys() >= SCORES
    assert read_card(tmp_path / "best")["task"] == "stenosis"


@pytest.mark.parametrize(
    ("lesion", "message"),
    [
        ({"box_xyxy": [20, 20, 20, 30]}, r"0.png: lesions\[0\]: expected a box of a positive area"),
        ({"box_xyxy": [120, 20, 130, 30]}, r"0.png: lesions\[0\]: expected a box in the image"),
        ({"box_xyxy": [20, 20, None, 30]}, r"0.png: lesions\[0\]: box_xyxy: expected 4 finite numbers"),
        (None, "0.png: lesions: expected a list of lesions"),
    ],
)
def test_bad_lesions_are_named(
    lesion: dict | None,
    message: str,
    options: Settings,
    narrowed_pictures: Path,
    messages: Callable,
    tmp_path: Path,
):
    content = read_datalist(narrowed_pictures / "datalist.json")
    if lesion is None:
        del content["training"][0]["lesions"]
    else:
        content["training"][0]["lesions"] = [lesion]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options(tmp_path / "out", dataset_dir=str(tmp_path)))
    assert any(re.search(message, text) for text in messages(caught.value)), messages(caught.value)
