"""Questions end to end on small pictures: learning, absent objects, both bases' bytes, held-out wordings, inference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import read_datalist
from monai_lora_sam.handlers import read_history
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.prompting import ask_image, encode_pixels, load_reasoning
from monai_lora_sam.workflows import run_bundle

BUNDLE = "reasoning_segmentation"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def options(bundle_options: Settings, tmp_path: Path) -> Settings:
    def make(name: str = "out", **more: Any) -> dict[str, Any]:
        return bundle_options(BUNDLE, tmp_path / name, **more)

    return make


def test_it_learns_what_to_say_and_when_to_show(
    options: Settings, promptable: Path, language_model: Path, worded_pictures: Path, tmp_path: Path
):
    before = [
        path.read_bytes() for folder in (promptable, language_model) for path in sorted(folder.iterdir())
    ]
    # The random output layer of the small model has rows too short to say anything with confidence: all of them train.
    rates = {
        "learning_rate": 0.02,
        "new_learning_rate": 0.01,
        "average_momentum": 0.5,
        "language_rows": "all",
    }
    run_bundle(BUNDLE, overrides=options(epochs=60, val_interval=60, augment=False, **rates))
    lines = read_history(tmp_path / "out" / "history.jsonl")
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert lines[-1]["val_mark_accuracy"] >= 0.8 and lines[-1]["val_exact_match"] >= 0.8
    card = read_card(tmp_path / "out" / "last")
    assert card["class_names"] == ["liver", "vessel"] and card["head"]["language"]["preset"] == "lora"
    network = load_reasoning(tmp_path / "out" / "last", promptable, device="cpu")
    right = 0
    for entry in read_datalist(worded_pictures / "datalist.json")["validation"]:
        pixels = read_colour_image(entry["image"]).pixels
        questions = ["Show the vessel in this picture.", "Where is the liver?"]
        vessel, liver = ask_image(network, encode_pixels(network, pixels), questions)
        right += vessel.text == "The vessel: [SEG]." and vessel.objects[0].mask.shape == pixels.shape[:2]
        right += liver.text == "It is not in this picture." and not liver.objects
    assert right >= 5  # of 6
    after = [
        path.read_bytes() for folder in (promptable, language_model) for path in sorted(folder.iterdir())
    ]
    assert after == before


@pytest.mark.parametrize("preset", ["nf4", "nf4_lora"])
def test_it_trains_on_a_4_bit_base_and_is_scored_on_held_out_wordings(
    options: Settings, preset: str, tmp_path: Path
):
    made = options(epochs=1, language_preset=preset, feature_cache=preset == "nf4")
    run_bundle(BUNDLE, overrides=made)
    run = run_bundle(BUNDLE, ["train.yaml", "evaluate.yaml"], {**made, "asked": "templates"})
    metrics = run.parser.get_parsed_content("validate#evaluator").state.metrics
    assert {"val_giou", "val_ciou", "val_dice", "val_mark_accuracy", "val_exact_match"} <= metrics.keys()
    assert (tmp_path / "out" / "evaluation" / "metrics.csv").is_file()


def test_inference_writes_an_answer(reasoning_stage: Path, pictures: Path, promptable: Path, tmp_path: Path):
    overrides = {
        "stage_folder": str(reasoning_stage),
        "pretrained": str(promptable),
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path / "out"),
        "question": ["Where is the vessel?", "Where is the liver?"],
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides)
    record = json.loads((tmp_path / "out" / "4" / "2" / "segmentation.json").read_text())
    assert record["question"] == "Where is the liver?" and isinstance(record["answer"], str)
    assert np.asarray(Image.open(tmp_path / "out" / "4" / "1" / "mask.png")).shape == (70, 60)
