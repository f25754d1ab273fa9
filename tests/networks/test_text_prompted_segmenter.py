"""Words as prompts: learning, boxes as before, presence, memory in chunks, and the way to disk and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_lora_sam.adapters import read_card
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import TextPromptedSegmenter, build_promptable
from monai_lora_sam.networks import text_prompted_segmenter as module
from monai_lora_sam.prompting import load_promptable
from monai_lora_sam.stages import load_stage, new_stage, save_stage

BOX = torch.tensor([[[5.0, 5, 40, 40], [20, 10, 60, 50]]])
PHRASES = ["left kidney", "spleen"]
Make = Callable[..., Any]


@pytest.fixture
def make(promptable: Path, sentence_encoder: Path) -> Make:
    """Build a text-prompted network on the base, in float32."""

    def make(**arguments: Any) -> Any:
        small = {"text_encoder": str(sentence_encoder), "text_lora": {"r": 2}, "lora": {"r": 2}}
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return new_stage(
                build_encoder("mini", promptable, 64),
                head="text",
                pretrained=promptable,
                mixed_precision=False,
                **{**small, **arguments},
            ).eval()

    return make


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(0))


def move(network: torch.nn.Module) -> None:
    """Move what trains, as training would."""
    generator = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)


def test_shapes_and_presence(make: Make, image: torch.Tensor):
    network = make()
    with torch.no_grad():
        found = network(image, phrases=PHRASES)
        three = network(image, phrases=PHRASES, multimask=True)
    assert found.logits.shape == (1, 2, 1, 60, 80) and found.iou.shape == (1, 2, 1)
    assert found.presence.shape == (1, 2) and three.logits.shape == (1, 2, 3, 60, 80)
    assert not torch.allclose(found.logits[:, 0], found.logits[:, 1])


def test_boxes_alone_answer_as_the_base_does(make: Make, promptable: Path, image: torch.Tensor):
    network, plain = make(), build_promptable("mini", promptable, 64, mixed_precision=False)
    move(network)
    with torch.no_grad():
        assert torch.equal(network(image, boxes=BOX).logits, plain(image, boxes=BOX).logits)
        both = network(image, boxes=BOX, phrases=PHRASES)
        assert not torch.allclose(both.logits, plain(image, boxes=BOX).logits)
        assert not torch.allclose(both.logits, network(image, phrases=PHRASES).logits)


def test_the_answer_does_not_depend_on_the_chunk(
    make: Make, image: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    network = make()
    phrases = ["left kidney", "spleen", "liver", "bone", "lung"]
    with torch.no_grad():
        whole = network(image, phrases=phrases)
        monkeypatch.setattr(module, "PHRASES_AT_ONCE", 2)
        seen: list[int] = []
        network.head.mask_decoder.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        parts = network(image, phrases=phrases)
    assert seen == [2, 2, 1]
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(parts.presence, whole.presence, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"text_strategy": "frozen"}, set()),
        ({"text_strategy": "lora"}, {"text"}),
        ({"text_strategy": "last_n", "text_last_n": 1}, {"text"}),
        ({"text_strategy": "lora", "strategy": "lora"}, {"text", "vision"}),
        ({"text_strategy": "frozen", "decoder": "full"}, {"decoder"}),
        ({"text_strategy": "frozen", "decoder": "lora", "decoder_lora": {"r": 2}}, {"decoder"}),
        ({"text_strategy": "frozen", "strategy": "last_n", "last_n": 1}, {"vision"}),
    ],
)
def test_each_part_trains_by_its_own_key_and_comes_back_from_disk(
    arguments: dict[str, Any],
    parts: set[str],
    make: Make,
    promptable: Path,
    image: torch.Tensor,
    tmp_path: Path,
):
    network = make(**arguments)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    starts = {
        "text": ("head.text_encoder.",),
        "vision": ("stack.",),
        "decoder": ("head.mask_decoder.", "head.prompt_encoder."),
        "new": ("head.projection.", "head.presence."),
    }
    found = {part for part, prefixes in starts.items() if any(name.startswith(prefixes) for name in trained)}
    assert found == parts | {"new"}
    move(network)
    network.requires_grad_(False)  # the last bits of a product depend on it
    folder = save_stage(network, tmp_path / "stage", task="objects", class_names=PHRASES)
    loaded = load_stage(folder, pretrained=promptable, mixed_precision=False)
    assert isinstance(loaded, TextPromptedSegmenter)
    with torch.no_grad():
        one, other = network(image, phrases=PHRASES), loaded(image, phrases=PHRASES)
    assert torch.equal(one.logits, other.logits) and torch.equal(one.presence, other.presence)
    card = read_card(folder)
    assert card["head"]["type"] == "text" and card["head"]["text"]["strategy"] == arguments["text_strategy"]
    bytes_of_all = sum(p.numel() * 4 for p in network.parameters())
    if arguments.get("decoder", "frozen") == "frozen":
        assert (folder / "head.safetensors").stat().st_size < 0.5 * bytes_of_all  # neither base is in it
    going_on = make(start_from=folder, **arguments)
    with torch.no_grad():
        torch.testing.assert_close(going_on(image, phrases=PHRASES).logits, one.logits)


def test_segment_loads_it_like_other_adapters(make: Make, promptable: Path, tmp_path: Path):
    folder = save_stage(make(), tmp_path / "stage", task="objects", class_names=PHRASES)
    assert isinstance(
        load_promptable(weights=promptable, adapter=folder, device="cpu"), TextPromptedSegmenter
    )


def test_it_learns_and_says_which_word_is_absent(make: Make):
    """Two squares, one bright and one dark; a third word names nothing in the image."""
    network = make(decoder="lora", decoder_lora={"r": 4})
    image = torch.full((1, 3, 64, 64), 0.5)
    image[..., 8:28, 8:28], image[..., 36:56, 36:56] = 1.0, 0.0
    truth = torch.zeros(2, 64, 64)
    truth[0, 8:28, 8:28] = truth[1, 36:56, 36:56] = 1
    phrases = ["left kidney", "spleen", "lung"]
    network.train()
    with torch.no_grad():
        embedding = network.encode(image)  # its encoder is frozen
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    losses = []
    for _ in range(21):
        found = network.decode(embedding, words=network.encode_phrases(phrases)[None])
        masks = bce(found.logits[0, :2, 0], truth)
        optimiser.zero_grad()
        (masks + bce(found.presence[0], torch.tensor([1.0, 1, 0]))).backward()
        optimiser.step()
        losses.append(float(masks.detach()))
    assert losses[-1] < 0.6 * losses[0]
    with torch.no_grad():
        presence = network.eval()(image, phrases=phrases).presence[0]
    assert (presence > 0).tolist() == [True, True, False]


def test_words_that_do_not_fit_are_named(make: Make, image: torch.Tensor):
    network = make()
    with torch.no_grad():
        embedding = network.encode(image)
    with pytest.raises(ValueError, match=r"words: expected the shape .*, found \(2, 32\)"):
        network.decode(embedding, words=torch.zeros(2, 32))
    with pytest.raises(ValueError, match=r"expected as many prompts as phrases, 3, found {'boxes': 2}"):
        network.decode(embedding, boxes=BOX, words=torch.zeros(1, 3, 32))
    with pytest.raises(ValueError, match="expected points, boxes or masks, found no prompt"):
        network.decode(embedding)
