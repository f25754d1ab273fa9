"""A stage on disk: written, read back, and refused where it does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, read_card, write_folder
from monai_lora_sam.adapters.card import card_digest
from monai_lora_sam.encoders import build_encoder, save_encoder
from monai_lora_sam.networks import HEADS, AdaptedSegmenter, HeadEntry, build_segmenter
from monai_lora_sam.stages import load_stage, new_stage, read_stage_card, save_stage

STRATEGIES = ("lora", "frozen", "last_n", "full")
IMAGE = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(3))
VIEW = torch.tensor([[30.0, -20.0]])


def moved(network: AdaptedSegmenter) -> AdaptedSegmenter:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network


def save(network: AdaptedSegmenter, folder: Path, **more) -> Path:
    return save_stage(network, folder, **({"task": "vessels", "class_names": ["vessel"]} | more))


def logits(network: AdaptedSegmenter) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(IMAGE, view=VIEW)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_read_back_gives_the_same_bits(
    strategy: str, random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    network = moved(random_segmenter(strategy))
    assert save(network, tmp_path / "stage") == tmp_path / "stage"
    loaded = load_stage(tmp_path / "stage", random_encoder(), mixed_precision=False)
    assert torch.equal(logits(loaded), logits(network))
    assert (loaded.name, loaded.strategy, loaded.adapters) == (network.name, strategy, network.adapters)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_only_what_was_trained_is_written(random_segmenter: Callable, tmp_path: Path):
    files = {}
    for strategy in STRATEGIES:
        folder = save(random_segmenter(strategy), tmp_path / strategy)
        files[strategy] = {path.name for path in folder.iterdir()}
    assert files["frozen"] == {"card.json", "head.safetensors"}
    assert files["lora"] == files["frozen"] | {"adapter_config.json", "adapter_model.safetensors"}
    assert files["last_n"] == files["full"] == files["frozen"] | {"encoder_delta.safetensors"}


def test_card(random_segmenter: Callable, tmp_path: Path):
    network = random_segmenter("lora", out_channels=2)
    names, scores = ["left", "right"], {"val_dice": 0.75}
    save(network, tmp_path, class_names=names, metrics=scores, version="7", epoch=3)
    card = read_card(tmp_path)
    expected = {
        "task": "vessels",
        "class_names": names,
        "metrics": scores,
        "version": "7",
        "epoch": 3,
        "modality": "",
        "strategy": "lora",
        "input_size": 56,
        "adapters": ["vessels"],
        "head": {
            "type": "view_segmentation",
            "channels": [48] * 4,
            "out_channels": 2,
            "width": 8,
            "level_deviation": 4.0,
        },
    }
    assert {key: card[key] for key in expected} == expected
    assert card["encoder"]["name"] == "tiny" and set(card["packages"]) >= {"torch", "peft", "transformers"}


def test_wrong_number_of_class_names(random_segmenter: Callable, tmp_path: Path):
    with pytest.raises(ValueError, match=r"1 logit maps need as many class names, found \['a', 'b'\]"):
        save(random_segmenter("frozen"), tmp_path / "stage", class_names=["a", "b"])
    assert not (tmp_path / "stage").exists()


def test_another_base_is_refused(random_segmenter: Callable, random_encoder: Callable, tmp_path: Path):
    save(random_segmenter("frozen"), tmp_path)
    with pytest.raises(ValueError, match=r"expected the base it was trained on, tiny .*; found tiny"):
        load_stage(tmp_path, random_encoder(seed=1))


@pytest.mark.parametrize("file", ["head.safetensors", "adapter_model.safetensors", "card.json"])
def test_a_damaged_file_is_refused(
    file: str, random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    save(random_segmenter("lora"), tmp_path)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=file):
        load_stage(tmp_path, random_encoder())


def test_a_missing_folder(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_stage(tmp_path / "nowhere")


def test_the_base_is_found_by_the_cards_name_and_a_path(
    random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    save_encoder(random_encoder(), tmp_path / "base")
    network = moved(random_segmenter("lora"))
    save(network, tmp_path / "stage")
    loaded = load_stage(tmp_path / "stage", pretrained=tmp_path / "base", mixed_precision=False)
    assert torch.equal(logits(loaded), logits(network))


def test_a_second_stage_needs_the_first(random_segmenter: Callable, random_encoder: Callable, tmp_path: Path):
    first = moved(random_segmenter("lora"))
    save(first, tmp_path / "first")
    second = moved(
        build_segmenter(
            first.stack,
            "view_segmentation",
            out_channels=2,
            name="segments",
            width=8,
            lora={"r": 2},
            mixed_precision=False,
        )
    )
    save(second, tmp_path / "second", task="segments", class_names=["a", "b"])
    with pytest.raises(ValueError, match="expected its parent 'vessels'"):
        load_stage(tmp_path / "second", random_encoder())

    stack = AdapterStack(random_encoder())
    again = load_stage(tmp_path / "first", stack, mixed_precision=False)
    on_top = load_stage(tmp_path / "second", stack, mixed_precision=False)
    assert torch.equal(logits(on_top), logits(second))
    assert torch.equal(logits(again), logits(first))


# ---- going on from a trained stage -----------------------------------------------------------------------------

ARGUMENTS: dict[str, Any] = {
    "head": "view_segmentation",
    "width": 8,
    "last_n": 1,
    "lora": {"r": 2},
    "mixed_precision": False,
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_new_stage_goes_on_where_one_of_its_strategy_stood(
    strategy: str, random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    network = moved(random_segmenter(strategy))
    save(network, tmp_path)
    further = new_stage(random_encoder(), tmp_path, strategy=strategy, **ARGUMENTS)
    assert torch.equal(logits(further), logits(network))
    assert {n for n, p in further.named_parameters() if p.requires_grad} == set(
        network.trainable.state_dict()
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_goes_on_from_a_frozen_stage(
    strategy: str, random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    first = moved(random_segmenter("frozen"))
    save(first, tmp_path / "first")
    second = new_stage(random_encoder(), tmp_path / "first", strategy=strategy, **ARGUMENTS)
    assert torch.equal(logits(second), logits(first))  # an adapter starts at zero
    save(moved(second), tmp_path / "second")
    loaded = load_stage(tmp_path / "second", random_encoder(), mixed_precision=False)
    assert torch.equal(logits(loaded), logits(second))  # whole without the first


def test_a_new_stage_takes_the_width_of_the_one_it_goes_on_from(
    random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    save(random_segmenter("frozen", width=16), tmp_path)
    assert new_stage(random_encoder(), tmp_path, strategy="lora", **ARGUMENTS).head.width == 16


def test_a_stage_of_another_strategy_or_with_other_maps_cannot_go_on(
    random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    save(random_segmenter("lora"), tmp_path)
    with pytest.raises(ValueError, match="expected to go on by strategy 'lora', found 'full'"):
        new_stage(random_encoder(), tmp_path, strategy="full", **ARGUMENTS)
    with pytest.raises(ValueError, match=r"expected the head .*'out_channels': 3.*found .*'out_channels': 1"):
        new_stage(random_encoder(), tmp_path, strategy="lora", out_channels=3, **ARGUMENTS)
    with pytest.raises(ValueError, match="expected the base it was trained on"):
        new_stage(random_encoder(seed=1), tmp_path, strategy="lora", **ARGUMENTS)


def test_without_a_trained_stage_the_head_is_fresh(random_encoder: Callable):
    assert new_stage(random_encoder(), strategy="frozen", **ARGUMENTS).head.width == 8


# ---- cards from before heads had a type ----------------------------------------------------------------------------


def test_the_entry_that_knows_an_old_card_names_its_head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    entries = {
        "plain": HeadEntry(torch.nn.Identity, AdaptedSegmenter),
        "deep": HeadEntry(torch.nn.Identity, AdaptedSegmenter, old_card=lambda head: "depth" in head),
    }
    monkeypatch.setattr(HEADS, "names", lambda: list(entries))
    monkeypatch.setattr(HEADS, "load", entries.__getitem__)
    card = {
        "name": "stage",
        "version": "1",
        "task": "liver",
        "strategy": "frozen",
        "fingerprint": "",
        "encoder": {"name": "tiny", "family": "sam3", "fingerprint": ""},
        "adapters": [],
        "input_size": 56,
    }
    tensors = {"head.safetensors": {"weight": torch.ones(1)}}
    for name, head in (("old", {"depth": 3}), ("unknown", {"height": 3})):
        (tmp_path / name).mkdir()
        write_folder(tmp_path / name, {**card, "parents": [], "modules": [], "head": head}, tensors, None)
    assert read_stage_card(tmp_path / "old")["head"] == {"type": "deep", "depth": 3}
    with pytest.raises(ValueError, match=r"unknown: expected the head's type, found {'height': 3}"):
        read_stage_card(tmp_path / "unknown")


@pytest.mark.parametrize(
    "entries",
    [
        {"adapters": ["nothing"]},
        {"adapters": []},
        {"adapters": [["vessels"]]},
        {"task": ["vessels"]},
        {"input_size": 10**9},
        {"input_size": True},
        {"reads": ["vessels"]},
        {"metrics": [1]},
        {"head": {"type": "nothing"}},
        {"head": {"type": ["segmentation"]}},
        {"head": {"type": "segmentation", "out_channels": 65536, "width": 65536}},
        {"head": {"type": "segmentation", "out_channels": 1, "width": 10**12}},
        {"head": {"type": "segmentation", "out_channels": None, "width": "8"}},
    ],
)
def test_signed_cards_that_cannot_be_are_one_line(
    entries: dict[str, Any], random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    folder = save(random_segmenter("lora"), tmp_path / "stage")
    card = {**json.loads((folder / "card.json").read_text()), **entries}
    (folder / "card.json").write_text(json.dumps({**card, "digest": card_digest(card)}))
    with pytest.raises(ValueError, match=str(folder)) as error:
        load_stage(folder, random_encoder())
    assert "\n" not in str(error.value)


def test_an_older_head_takes_the_levels_as_they_are(
    random_segmenter: Callable, random_encoder: Callable, tmp_path: Path
):
    network = random_segmenter("frozen")
    assert network.head.level_deviation == 4
    folder = save(network, tmp_path / "stage")
    card = json.loads((folder / "card.json").read_text())
    del card["head"]["level_deviation"]
    (folder / "card.json").write_text(json.dumps({**card, "digest": card_digest(card)}))
    assert load_stage(folder, random_encoder()).head.level_deviation is None


def test_an_adapter_without_a_head_is_no_stage(random_segmenter: Callable, tmp_path: Path):
    network = random_segmenter("lora")
    network.stack.save(network.name, tmp_path / "adapter")
    with pytest.raises(ValueError, match=r"adapter: expected a stage.*head.safetensors; found the adapter"):
        load_stage(tmp_path / "adapter")


def test_a_stage_in_4_bits_finds_its_base_again(random_encoder: Callable, tmp_path: Path):
    pytest.importorskip("bitsandbytes")
    base = save_encoder(random_encoder(), tmp_path / "base")
    encoder = build_encoder("tiny", base, 56, quantise="nf4")
    network = moved(build_segmenter(encoder, name="liver", width=8, lora={"r": 2}, mixed_precision=False))
    save_stage(network, tmp_path / "stage", task="liver", class_names=["liver"])
    loaded = load_stage(tmp_path / "stage", pretrained=base, mixed_precision=False)
    assert loaded.stack.encoder.quantisation == "nf4"
    with torch.no_grad():
        assert torch.equal(loaded(IMAGE), network.eval()(IMAGE))
    with pytest.raises(ValueError, match=r"expected tiny with weights in nf4, .* found full precision"):
        load_stage(tmp_path / "stage", random_encoder())
