"""Words end to end on small pictures: learning, absent phrases, both bases' bytes, stored features, inference."""

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
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.prompting import ObjectPrompt, load_promptable, segment_image
from monai_lora_sam.workflows import run_bundle

BUNDLE = "text_adaptation"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def options(bundle_options: Settings, tmp_path: Path) -> Settings:
    def make(name: str = "out", **more: Any) -> dict[str, Any]:
        return bundle_options(BUNDLE, tmp_path / name, **more)

    return make


def test_it_learns_and_an_absent_phrase_stays_absent(
    options: Settings, promptable: Path, sentence_encoder: Path, worded_pictures: Path, tmp_path: Path
):
    before = [
        path.read_bytes() for folder in (promptable, sentence_encoder) for path in sorted(folder.iterdir())
    ]
    run_bundle(
        BUNDLE,
        overrides=options(
            epochs=12, val_interval=12, learning_rate=0.01, average_momentum=0.3, augment=False
        ),
    )
    lines = read_history(tmp_path / "out" / "history.jsonl")
    assert lines[-1]["loss"] < 0.85 * lines[0]["loss"]
    assert lines[-1]["val_false_alarms"] == 0 and lines[-1]["val_exact_match"] == 1
    card = read_card(tmp_path / "out" / "last")
    assert card["class_names"] == ["liver", "vessel"] and card["head"]["text"]["strategy"] == "lora"
    assert (
        tmp_path / "out" / "last" / "adapter_model.safetensors"
    ).is_file()  # of the image encoder, in PEFT's form
    network = load_promptable(weights=promptable, adapter=tmp_path / "out" / "last", device="cpu")
    for entry in read_datalist(worded_pictures / "datalist.json")["validation"]:
        pixels = read_colour_image(entry["image"]).pixels
        vessel, liver = segment_image(
            network, pixels, [ObjectPrompt("vessel", text="vessel"), ObjectPrompt("liver", text="liver")]
        )
        assert vessel.presence > 0.5 > liver.presence and not liver.mask.any()
    after = [
        path.read_bytes() for folder in (promptable, sentence_encoder) for path in sorted(folder.iterdir())
    ]
    assert after == before


def test_stored_features_give_the_same_training(options: Settings, tmp_path: Path):
    frozen = {"strategy": "frozen", "epochs": 2, "augment": False}
    run_bundle(BUNDLE, overrides=options("plain", **frozen))
    run_bundle(BUNDLE, overrides=options("stored", feature_cache=True, **frozen))
    plain, stored = (read_history(tmp_path / name / "history.jsonl") for name in ("plain", "stored"))
    assert [line["loss"] for line in stored] == pytest.approx(
        [line["loss"] for line in plain], rel=0.02
    )  # float16
    with pytest.raises(Exception, match="strategy 'frozen'") as caught:
        run_bundle(BUNDLE, overrides=options("lora", feature_cache=True, strategy="lora"))
    assert caught.value


def test_the_saved_adapter_is_the_average(options: Settings, promptable: Path, tmp_path: Path):
    run = run_bundle(
        BUNDLE, overrides=options(epochs=1, text_strategy="last_n", text_last_n=1, decoder="full")
    )
    averaged = run.parser.get_parsed_content("averaged").network
    saved: Any = load_promptable(weights=promptable, adapter=tmp_path / "out" / "last", device="cpu")
    saved.mixed_precision = False
    saved.to(memory_format=torch.channels_last)  # as in training: another order of sums
    image = torch.rand(1, 3, 50, 64)
    with torch.no_grad():
        found, expected = saved(image, phrases=["vessel"]), averaged(image, phrases=["vessel"])
    assert torch.equal(found.logits, expected.logits) and torch.equal(found.presence, expected.presence)
    assert (
        build_encoder("mini", promptable, 64).fingerprint
        == read_card(tmp_path / "out" / "last")["encoder"]["fingerprint"]
    )


def test_a_phrase_that_cannot_be_read_is_named(
    options: Settings, worded_pictures: Path, messages: Callable, tmp_path: Path
):
    content = read_datalist(worded_pictures / "datalist.json")
    for entry in content["training"]:
        entry["phrases"] = {"сосуд": str(worded_pictures / entry["phrases"]["vessel"])}
    (tmp_path / "other.json").write_text(json.dumps(content))
    with pytest.raises(Exception) as caught, pytest.warns(UserWarning, match="no image has an absent phrase"):
        run_bundle(BUNDLE, overrides=options(datalist_file=str(tmp_path / "other.json")))
    assert any("expected Latin letters" in text for text in messages(caught.value))


def test_inference_writes_a_mask(
    train_bundle: Callable[[str], Path], pictures: Path, promptable: Path, tmp_path: Path
):
    overrides = {
        "stage_folder": str(train_bundle(BUNDLE) / "best"),
        "pretrained": str(promptable),
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path / "out"),
        "text": ["vessel", "liver"],
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides)
    record = json.loads((tmp_path / "out" / "4" / "segmentation.json").read_text())
    assert [one["text"] for one in record["objects"]] == ["vessel", "liver"]
    assert np.asarray(Image.open(tmp_path / "out" / "4" / "mask.png")).shape == (70, 60)
