"""What of SAM 3 trains by each key, presets and names of layers, the way to disk and back, and wrong choices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from monai_lora_sam.adapters import read_card
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import TextSegmenter, build_text_segmenter
from monai_lora_sam.stages import load_stage, new_stage, save_stage

PHRASES = ["left kidney", "spleen"]
Make = Callable[..., Any]


@pytest.fixture
def make(text_sam3: Path) -> Make:
    """Put SAM 3's miniature on its encoder, to be trained, in float32."""

    def make(**arguments: Any) -> Any:
        small = {"text_strategy": "frozen", "text_lora": {"r": 2}, "lora": {"r": 2}, "decoder_lora": {"r": 2}}
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return new_stage(
                build_encoder("sam3", text_sam3),
                head="concepts",
                pretrained=text_sam3,
                mixed_precision=False,
                **{**small, **arguments},
            ).eval()

    return make


def image() -> torch.Tensor:
    return torch.randn(1, 3, 80, 112, generator=torch.Generator().manual_seed(0))


def answers(network: Any) -> list[torch.Tensor]:
    found = network.segment(image(), PHRASES, threshold=0.0)
    return [tensor for one in found for tensor in (one.scores, one.boxes, one.semantic)]


@pytest.fixture(scope="module")
def plain(text_sam3: Path) -> list[torch.Tensor]:
    """Return the answers of the base."""
    return answers(build_text_segmenter(text_sam3, mixed_precision=False))


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


def move(network: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


#: Keys → beginnings of the names that train, and their number: LoRA of rank 2 on square layers of 32 has 2 · (32 + 32).
CASES = [
    ({}, (), 0),
    (
        {"text_strategy": "last_n", "text_last_n": 1},
        ("head.detector.text_encoder.text_model.encoder.layers.1.",),
        4 * (32 * 32 + 32) + 2 * (32 * 32 + 32) + 4 * 32,
    ),
    ({"text_strategy": "lora", "strategy": "lora"}, ("head.detector.text_encoder.", "stack."), (2 * 3 + 2 * 2) * 128),
    ({"decoder": "lora"}, ("head.detector.detr_encoder.", "head.detector.detr_decoder."), (8 + 2 * 12) * 128),
    (
        {"decoder": "lora", "decoder_lora": {"r": 2, "targets": "detr_encoder"}},
        ("head.detector.detr_encoder.",),
        8 * 128,
    ),
    (
        {"decoder": "lora", "decoder_lora": {"r": 2, "targets": ["vision_cross_attn.q_proj"]}},
        ("head.detector.detr_decoder.layers.",),
        2 * 128,
    ),
    (
        {"decoder": "full", "text_strategy": "lora"},
        tuple(f"head.detector.{part}" for part in ("text_", "detr_encoder", "detr_decoder", "mask_decoder", "dot_")),
        None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "starts", "expected"), CASES)
def test_each_part_trains_by_its_own_key_and_comes_back_from_disk(
    arguments: dict[str, Any],
    starts: tuple[str, ...],
    expected: int | None,
    make: Make,
    plain: list[torch.Tensor],
    text_sam3: Path,
    tmp_path: Path,
):
    network = make(**arguments)
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert all(name.startswith(starts) for name in trained) and all(
        any(name.startswith(start) for name in trained) for start in starts
    )
    if expected is not None:
        assert sum(p.numel() for p in trained.values()) == expected
    assert same(answers(network), plain)
    move(network)
    network.requires_grad_(False)  # the last bits of a product depend on it
    folder = save_stage(network, tmp_path / "stage", task="phrases", class_names=PHRASES)
    assert read_card(folder)["head"]["type"] == "concepts"
    saved = {name.removeprefix("head.") for name in trained if name.startswith("head.")}
    assert set(network.head.state_dict()) == saved  # the base is not in it
    loaded = load_stage(folder, pretrained=text_sam3, mixed_precision=False)
    assert isinstance(loaded, TextSegmenter)
    assert same(answers(network), answers(loaded)) and same(answers(loaded), plain) == (not trained)


def test_adapters_of_text_and_detector_act_together(make: Make, plain: list[torch.Tensor]):
    network = make(text_strategy="lora", decoder="lora")
    layers = [module for module in network.head.modules() if isinstance(module, LoraLayer)]
    assert all(layer.active_adapters == list(layer.lora_A) for layer in layers) and len(layers) == 6 + 32
    for part in (".text.", ".detector."):
        for name, parameter in network.head.named_parameters():
            if "lora_B" in name and part in name:
                torch.nn.init.normal_(parameter)
        moved = answers(network)
        assert not same(moved, plain)
        for name, parameter in network.head.named_parameters():
            if "lora_B" in name:
                torch.nn.init.zeros_(parameter)
        assert same(answers(network), plain)


def test_training_goes_on_from_a_stage(make: Make, tmp_path: Path):
    keys = {"text_strategy": "lora", "decoder": "lora"}
    network = make(**keys)
    move(network)
    folder = save_stage(network, tmp_path / "stage", task="phrases", class_names=PHRASES)
    for one, other in zip(answers(network), answers(make(start_from=folder, **keys)), strict=True):
        torch.testing.assert_close(one, other)


def test_vision_adapters_off_answer_as_before(make: Make, plain: list[torch.Tensor]):
    network = make(strategy="lora")
    move(network)
    assert not same(answers(network), plain)
    network.adapters = ()
    assert same(answers(network), plain)


def test_dropout_acts_in_what_trains_alone(make: Make):
    frozen, full = make().train(), make(decoder="full").train()
    ids, mask = frozen.tokenise(PHRASES)
    for network, same in ((frozen, True), (full, False)):
        with torch.no_grad():
            embedding = network.encode(image())
            first, second = (network.answer(embedding, ids, mask).pred_logits for _ in range(2))
        assert torch.equal(first, second) == same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder": "half"}, "decoder: expected full or lora or frozen, found half"),
        ({"text_strategy": "full"}, "strategy of the text: expected frozen or lora or last_n, found full"),
        ({"text_strategy": "last_n", "text_last_n": 3}, "expected 1 to 2 blocks, found 3"),
        ({"text_lora": {"rank": 2}}, "LoRA of the text: expected r or alpha or dropout or targets"),
        ({"text_strategy": "lora", "text_lora": {"targets": "kv"}}, r"targets of the text: expected one of \['qkv'"),
        ({"decoder": "lora", "decoder_lora": {"targets": "all_of_it"}}, r"targets of the detector: expected one of \["),
        ({"decoder": "lora", "decoder_lora": {"targets": ["c_fc"]}}, "the end of a linear layer's name, found 'c_fc'"),
        ({"decoder": "lora", "decoder_lora": {"targets": []}}, "expected a preset or names of layers"),
        ({"pretrained": False}, "expected weights of SAM 3, which bring its vocabulary, found False"),
    ],
)  # fmt: skip
def test_wrong_choices_are_named(make: Make, text_sam3: Path, arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        new_stage(build_encoder("sam3", text_sam3), head="concepts", **{"pretrained": text_sam3, **arguments})


def test_another_base_is_refused(make: Make, text_sam3: Path, tmp_path: Path):
    from shutil import copytree

    folder = save_stage(make(text_strategy="lora"), tmp_path / "stage", task="phrases", class_names=PHRASES)
    other = copytree(text_sam3, tmp_path / "other")
    content = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(content.replace("spleen", "splenic"))
    with pytest.raises(ValueError, match="which the adapter was trained on, found"):
        load_stage(folder, pretrained=other)
