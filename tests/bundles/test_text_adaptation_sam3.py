"""SAM 3 by its own words end to end in miniature: learning, absent phrases, card, scores, inference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import read_datalist
from monai_lora_sam.handlers import read_history
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.networks import TextSegmenter, build_text_segmenter
from monai_lora_sam.prompting import ObjectPrompt, load_promptable, segment_image
from monai_lora_sam.workflows import run_bundle

BUNDLE = "text_adaptation"
FILES = ["train.yaml", "sam3.yaml"]
ASKED = [ObjectPrompt("vessel", text="vessel"), ObjectPrompt("liver", text="liver")]
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def options(worded_pictures: Path, text_sam3: Path) -> Settings:
    """Return overrides that teach two words to SAM 3's miniature; more of them may be given."""

    def make(output: Path, **more: Any) -> dict[str, Any]:
        return {
            "dataset_dir": str(worded_pictures),
            "output_dir": str(output),
            "pretrained": str(text_sam3),
            "lora#r": 2,
            "text_lora#r": 4,
            "phrases_per_image": 2,
            "epochs": 2,
            "batch_size": 2,
            "mixed_precision": False,
            "show_progress": False,
            "device": "cpu",
        } | more

    return make


@pytest.fixture(scope="module")
def trained(options: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words_of_sam3")
    overrides = options(
        folder,
        epochs=20,
        val_interval=20,
        decoder="full",
        learning_rate=0.003,
        average_momentum=0.3,
        augment=False,
    )
    overrides |= {"text_lora#dropout": 0.0, "lora#dropout": 0.0}
    run_bundle(BUNDLE, FILES, overrides)
    return folder


def test_it_learns_and_an_absent_phrase_stays_absent(trained: Path, text_sam3: Path, worded_pictures: Path):
    lines = read_history(trained / "history.jsonl")
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["val_false_alarms"] == 0 and lines[-1]["val_exact_match"] == 1
    card = read_card(trained / "last")
    assert card["class_names"] == ["liver", "vessel"] and card["head"]["text"]["strategy"] == "lora"
    assert (trained / "last" / "adapter_model.safetensors").is_file()  # of the image encoder, in PEFT's form
    network = load_promptable(weights=text_sam3, adapter=trained / "last", device="cpu")
    assert isinstance(network, TextSegmenter)
    for entry in read_datalist(worded_pictures / "datalist.json")["validation"]:
        pixels = read_colour_image(entry["image"]).pixels
        vessel, liver = segment_image(network, pixels, ASKED)
        assert vessel.presence > 0.5 > liver.presence and not liver.mask.any()
        assert vessel.mask.shape == pixels.shape[:2]
    with pytest.raises(ValueError, match="vessel: expected words or a box around an example for SAM 3"):
        segment_image(network, pixels, [ObjectPrompt("vessel", points=((3, 3),))])
    [shown] = segment_image(network, pixels, [ObjectPrompt("shown", box=(5, 5, 30, 30))])
    assert 0 <= shown.predicted_iou <= 1


def test_without_the_adapters_the_base_is_as_before(trained: Path, text_sam3: Path):
    plain = build_text_segmenter(text_sam3, mixed_precision=False)
    image = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = plain.encode(image).levels
        network: Any = load_promptable(weights=text_sam3, adapter=trained / "last", device="cpu")
        network.mixed_precision, network.adapters = False, ()
        assert all(
            torch.equal(one, other) for one, other in zip(network.encode(image).levels, before, strict=True)
        )


def test_evaluation_gives_the_scores_that_training_noted(options: Settings, trained: Path, tmp_path: Path):
    run = run_bundle(BUNDLE, [*FILES, "evaluate.yaml"], options(trained, scores_dir=str(tmp_path)))
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    noted = read_card(trained / "best")["metrics"]
    assert {name: float(value) for name, value in found.items()} == pytest.approx(noted, abs=1e-4)


def test_stored_features_and_images_without_objects(options: Settings, worded_pictures: Path, tmp_path: Path):
    """Two of the images show nothing that is asked for; the image encoder is frozen and its features are stored."""
    content = read_datalist(worded_pictures / "datalist.json")
    for entry in content["training"][:2]:
        entry["phrases"] = {"liver": None, "vessel": None}
    for entry in content["training"][2:] + content["validation"]:
        entry["phrases"]["vessel"] = str(worded_pictures / entry["phrases"]["vessel"])
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    more = {"strategy": "frozen", "decoder": "full", "augment": False, "epochs": 1}
    more["datalist_file"] = str(tmp_path / "datalist.json")
    run_bundle(BUNDLE, FILES, options(tmp_path / "plain", **more))
    run_bundle(BUNDLE, FILES, options(tmp_path / "stored", feature_cache=True, **more))
    plain, stored = (read_history(tmp_path / name / "history.jsonl")[-1] for name in ("plain", "stored"))
    assert stored["loss"] == pytest.approx(plain["loss"], rel=0.05)  # float16
    assert np.isfinite(plain["val_loss"])


def test_inference_writes_a_mask(trained: Path, text_sam3: Path, pictures: Path, tmp_path: Path):
    overrides = {
        "stage_folder": str(trained / "best"),
        "pretrained": str(text_sam3),
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path / "out"),
        "text": ["vessel", "liver"],
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides)
    record = json.loads((tmp_path / "out" / "4" / "segmentation.json").read_text())
    assert [one["text"] for one in record["objects"]] == ["vessel", "liver"]
    assert np.asarray(Image.open(tmp_path / "out" / "4" / "mask.png")).shape == (70, 60)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("decoder", "half", "expected lora or full or frozen"),
        ("decoder_lora#targets", 3, "expected text or texts"),
        ("concept_loss#weights", {"loss_boxes": 1.0}, "weights: expected some of"),
    ],
)
def test_wrong_settings_are_named(
    options: Settings, messages: Callable, key: str, value: Any, message: str, tmp_path: Path
):
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, FILES, options(tmp_path / "out", **{key: value}))
    assert any(message in text for text in messages(caught.value)), messages(caught.value)
