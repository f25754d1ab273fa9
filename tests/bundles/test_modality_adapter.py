"""Adapters by prompts end to end on small pictures: the base's bytes, learning, few shots, 4 bits, inference."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import read_datalist
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import build_promptable
from monai_lora_sam.prompting import load_promptable
from monai_lora_sam.stages import load_stage, new_stage
from monai_lora_sam.workflows import run_bundle

BUNDLE = "modality_adapter"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def options(bundle_options: Settings, tmp_path: Path) -> Settings:
    def make(name: str = "out", **more: Any) -> dict[str, Any]:
        return bundle_options(BUNDLE, tmp_path / name, **more)

    return make


def test_it_learns_keeps_the_base_and_saves_the_average(options: Settings, promptable: Path, tmp_path: Path):
    before = {path.name: path.read_bytes() for path in promptable.iterdir()}
    base = build_encoder("mini", promptable, 64).state_dict()
    run = run_bundle(
        BUNDLE,
        overrides=options(
            epochs=12,
            learning_rate=0.02,
            average_momentum=0.3,
            augment=False,
            cache_rate=0.0,
            val_interval=12,
        ),
    )
    lines = read_history(tmp_path / "out" / "history.jsonl")
    assert lines[-1]["loss"] < 0.85 * lines[0]["loss"]
    network = run.parser.get_parsed_content("network_def")
    state = network.stack.encoder.state_dict()
    kept = {name.replace(".base_layer", ""): value for name, value in state.items() if "lora_" not in name}
    assert kept.keys() == base.keys() and all(torch.equal(kept[name], base[name]) for name in base)
    assert {path.name: path.read_bytes() for path in promptable.iterdir()} == before
    card = read_card(tmp_path / "out" / "last")
    assert card["name"] == "adapter" and card["class_names"] == ["vessel"] and card["task"] == "objects"
    assert card["head"]["prompts"] == ["boxes", "points", "masks"] and card["head"]["trains"] == "lora"
    assert (tmp_path / "out" / "last" / "adapter_model.safetensors").is_file()  # PEFT's form

    # The average is saved.
    averaged = run.parser.get_parsed_content("averaged").network
    saved = load_promptable(weights=promptable, adapter=tmp_path / "out" / "last", device="cpu")
    saved.mixed_precision = False
    saved.to(memory_format=torch.channels_last)  # as in training: another order of sums
    image, box = torch.rand(1, 3, 50, 64), torch.tensor([[[5.0, 5, 40, 40]]])
    with torch.no_grad():
        assert torch.equal(saved(image, boxes=box).logits, averaged(image, boxes=box).logits)


def test_few_shots_are_no_more_than_the_cases(options: Settings):
    with pytest.raises(ValueError, match="few-shot: expected 1 to 4 cases, the number of all, found 9"):
        run_bundle(BUNDLE, overrides=options(few_shot=9))


def test_fewer_than_five_million_parameters_train_on_the_default_base():
    stage = new_stage(
        build_encoder("medsam_lite", False),
        head="prompts",
        lora={"r": 8, "alpha": 16},
        decoder="full",
        pretrained=False,
    )
    assert sum(p.numel() for p in stage.parameters() if p.requires_grad) < 5_000_000


def test_a_base_in_4_bits_trains_and_comes_back_the_same(options: Settings, tmp_path: Path):
    pytest.importorskip("bitsandbytes")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build_promptable("medsam_lite", False, 64).save_pretrained(tmp_path / "base")
    run = run_bundle(
        BUNDLE,
        overrides=options(
            encoder_name="medsam_lite",
            pretrained=str(tmp_path / "base"),
            quantise="nf4",
            epochs=1,
            few_shot=2,
            prompts_per_image=1,
            rounds=0,
            decoder="full",
        ),
    )
    assert len(run.parser.get_parsed_content("data")["training"]) == 2
    averaged = run.parser.get_parsed_content("averaged").network
    card = read_card(tmp_path / "out" / "last")
    assert card["encoder"]["quantisation"] == "nf4"
    loaded: Any = load_stage(tmp_path / "out" / "last", pretrained=tmp_path / "base", mixed_precision=False)
    loaded.to(memory_format=torch.channels_last)  # as in training: another order of sums
    image, box = torch.rand(1, 3, 64, 64), torch.tensor([[[5.0, 5, 40, 40]]])
    with torch.no_grad():
        assert torch.equal(loaded(image, boxes=box).logits, averaged(image, boxes=box).logits)
    plain = build_encoder("medsam_lite", tmp_path / "base", 64)
    with pytest.raises(ValueError, match="nf4"):
        load_stage(tmp_path / "out" / "last", plain, pretrained=tmp_path / "base")


def test_bad_data_are_named(options: Settings, pictures: Path, messages: Callable, tmp_path: Path):
    content = read_datalist(pictures / "datalist.json")
    Image.fromarray(np.zeros((70, 60), np.uint8)).save(tmp_path / "empty.png")
    content["training"][0] |= {"label": str(tmp_path / "empty.png")}
    (tmp_path / "empty.json").write_text(json.dumps(content))
    for entry in content["training"][:2]:
        del entry["label"]
    (tmp_path / "bare.json").write_text(json.dumps(content))
    for name, message in (
        (
            "empty.json",
            r"empty.png: expected an object at \d+x64 pixels|empty.png: expected an object at 64x\d+",
        ),
        ("bare.json", r"2 problem\(s\) in 2 file\(s\)"),
    ):
        with pytest.raises(Exception) as caught:
            run_bundle(BUNDLE, overrides=options(datalist_file=str(tmp_path / name), augment=False))
        assert any(re.search(message, text) for text in messages(caught.value)), messages(caught.value)


def test_inference_writes_a_mask(
    train_bundle: Callable[[str], Path], pictures: Path, promptable: Path, tmp_path: Path
):
    overrides = {
        "stage_folder": str(train_bundle(BUNDLE) / "best"),
        "pretrained": str(promptable),
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path / "out"),
        "box": [5, 5, 50, 60],
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides)
    record = json.loads((tmp_path / "out" / "4" / "segmentation.json").read_text())
    assert record["objects"][0]["box_xyxy"] == [5, 5, 50, 60]
    assert np.asarray(Image.open(tmp_path / "out" / "4" / "mask.png")).shape == (70, 60)
