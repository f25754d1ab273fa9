"""Distillation end to end on small pictures: both phases, the cache, unlabelled images, two processes, inference."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import run_ranks
from PIL import Image

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import datalist_from_folders, read_datalist, write_datalist
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import PromptableSegmenter
from monai_lora_sam.workflows import run_bundle

BUNDLE = "minisam_distillation"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def options(bundle_options: Settings, tmp_path: Path) -> Settings:
    def make(name: str, **more: Any) -> dict[str, Any]:
        return bundle_options(BUNDLE, tmp_path / name, **more)

    return make


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_history(folder / "history.jsonl")]


@pytest.mark.parametrize("phase", ["features", "prompts"])
def test_training_from_the_cache_is_training_from_live_embeddings(
    phase: str, options: Settings, tmp_path: Path
):
    same = {"augment": False, "phase": phase, "prompts_per_image": 2}
    run_bundle(BUNDLE, overrides=options("live", **same))
    cached = options("cached", **same, feature_cache=True, feature_cache_dir=str(tmp_path / "features"))
    run_bundle(BUNDLE, overrides=cached)
    assert losses(tmp_path / "cached") == pytest.approx(losses(tmp_path / "live"), rel=2e-3)
    lines = [read_history(tmp_path / name / "history.jsonl")[-1] for name in ("live", "cached")]
    for score in ("val_dice", "val_unexplained"):
        assert lines[0][score] == pytest.approx(lines[1][score], abs=0.02)


def test_a_truncated_shard_is_named(options: Settings, messages: Callable, tmp_path: Path):
    cached = options("out", epochs=1, feature_cache=True, feature_variants=1)
    run_bundle(BUNDLE, overrides=cached)
    identity = next((tmp_path / "out" / "feature_cache").glob("*/identity.json"))
    assert json.loads(identity.read_text())["side"] == "64"
    shard = next((tmp_path / "out" / "feature_cache").rglob("features.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides={**cached, "epochs": 2})
    assert any(re.search("features.safetensors: expected SHA-256", text) for text in messages(caught.value))


def test_the_second_phase_goes_on_from_the_first_and_learns(
    options: Settings, promptable: Path, tmp_path: Path
):
    before = {path.name: path.read_bytes() for path in promptable.iterdir()}
    more = {"augment": False, "weight_decay": 0.0, "prompts_per_image": 2, "val_interval": 4}
    run_bundle(
        BUNDLE, overrides=options("first", epochs=8, learning_rate=0.003, average_momentum=0.3, **more)
    )
    lines = read_history(tmp_path / "first" / "history.jsonl")
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    second = options("second", phase="prompts", start_from=str(tmp_path / "first" / "last"), epochs=4, **more)
    run = run_bundle(BUNDLE, overrides=second)
    network = run.parser.get_parsed_content("network_def")
    assert network.rounds == 2 and not network.stack.training
    assert {path.name: path.read_bytes() for path in promptable.iterdir()} == before
    card = read_card(tmp_path / "second" / "last")
    assert card["phase"] == "prompts" and card["decoder"]["weights"] == str(promptable)
    state = torch.load(tmp_path / "second" / "training_state.pt", weights_only=True)
    assert all(name.startswith("student.stack.") for name in state["network"])


def test_the_average_is_validated_and_saved(options: Settings, tmp_path: Path):
    run = run_bundle(BUNDLE, overrides=options("out", epochs=1))
    average = run.parser.get_parsed_content("averaged").student.stack.encoder
    student = run.parser.get_parsed_content("network_def").student.stack.encoder
    saved = PromptableSegmenter.from_pretrained(tmp_path / "out" / "last").stack.encoder
    states = [encoder.model.state_dict() for encoder in (average, saved, student)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["neck.output_norm.weight"], states[2]["neck.output_norm.weight"])


def test_unlabelled_images_and_labelled_ones_together(options: Settings, pictures: Path, tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    entries = datalist_from_folders(folder)
    bare = write_datalist(
        tmp_path / "bare.json",
        name="bare",
        task="unlabelled",
        class_names=[],
        splits={"training": entries[:2], "validation": entries[2:]},
    )
    run_bundle(BUNDLE, overrides=options("alone", datalist_file=str(bare), epochs=1))
    both = [str(bare), str(pictures / "datalist.json")]
    run = run_bundle(BUNDLE, overrides=options("both", datalist_file=both, epochs=1, phase="prompts"))
    items = run.parser.get_parsed_content("train#dataset")
    assert len(items) == 6 and {item["boxes"].shape for item in items} == {(4, 4)}
    assert read_history(tmp_path / "both" / "history.jsonl")[0]["val_dice"] >= 0


def test_bad_data_are_named(options: Settings, pictures: Path, messages: Callable, tmp_path: Path):
    content = read_datalist(pictures / "datalist.json")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "dot.png")
    content["training"][0] = {"image": str(tmp_path / "dot.png")}
    (tmp_path / "dot.json").write_text(json.dumps(content))
    (tmp_path / "none.json").write_text(json.dumps({**content, "training": []}))
    for name, message in (
        ("dot.json", r"dot.png: expected sides from 2 pixels on, found 1x1"),
        ("none.json", r"none.json: expected images under 'training', found none"),
    ):
        with pytest.raises(Exception) as caught:
            run_bundle(BUNDLE, overrides=options("out", datalist_file=str(tmp_path / name)))
        assert any(re.search(message, text) for text in messages(caught.value)), messages(caught.value)


def test_two_processes_train_as_one_with_twice_the_batch(
    options: Settings, bundle_command: Callable, tmp_path: Path
):
    same = {"augment": False, "epochs": 1}
    files = ["train.yaml", "multi_gpu_train.yaml"]
    command = bundle_command(BUNDLE, files, options("two", batch_size=1, feature_cache=True, **same))
    run_ranks(2, command, tmp_path / "output.txt")
    run_bundle(BUNDLE, overrides=options("one", batch_size=2, **same))
    two, one = (read_history(tmp_path / name / "history.jsonl")[0] for name in ("two", "one"))
    # The variance that the loss divides by is that of a process's own images.
    assert two["loss"] == pytest.approx(one["loss"], rel=0.1)
    assert two["val_unexplained"] == pytest.approx(one["val_unexplained"], rel=0.1)


def test_inference_carries_on_past_a_bad_file(
    train_bundle: Callable[[str], Path], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    images = tmp_path / "in"
    images.mkdir()
    (images / "4.png").write_bytes((pictures / "4.png").read_bytes())
    (images / "5.png").write_bytes(b"no image")
    overrides = {
        "stage_folder": str(train_bundle(BUNDLE) / "best"),
        "dataset_dir": str(images),
        "output_dir": str(tmp_path / "out"),
        "box": [5, 5, 50, 60],
        "device": "cpu",
    }
    with pytest.raises(SystemExit) as caught:
        run_bundle(BUNDLE, "inference.yaml", overrides)
    assert caught.value.code == 1
    assert re.findall(r"(\d\.png): (\w+)", capsys.readouterr().out) == [
        ("4.png", "done"),
        ("5.png", "expected"),
    ]
    record = json.loads((tmp_path / "out" / "4" / "segmentation.json").read_text())
    assert record["objects"][0]["box_xyxy"] == [5, 5, 50, 60]
    assert np.asarray(Image.open(tmp_path / "out" / "4" / "mask.png")).shape == (70, 60)
    (images / "5.png").unlink()
    run_bundle(BUNDLE, "inference.yaml", {**overrides, "box": None})
    with pytest.raises(FileNotFoundError, match="expected a picture or a folder of pictures"):
        run_bundle(BUNDLE, "inference.yaml", {**overrides, "dataset_dir": str(tmp_path / "none")})


def test_a_teacher_without_linear_layers_cannot_be_in_4_bits(options: Settings):
    with pytest.raises(Exception, match="mini: expected an encoder with linear layers to quantise"):
        run_bundle(BUNDLE, overrides=options("quantised", teacher_quantise="nf4"))
