"""Questions in, words and masks out: the base's own masks, several masks, batches, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_lora_sam.adapters import open_adapter
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import ReasoningSegmenter, build_promptable
from monai_lora_sam.stages import load_stage, new_stage, save_stage

QUESTION = "Where is the vessel?"


def new(promptable: Path, language_model: Path, **more: Any) -> ReasoningSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        stage = new_stage(
            build_encoder("mini", promptable, 64),
            head="reasoning",
            pretrained=promptable,
            language_model=str(language_model),
            language_precision="float32",
            mixed_precision=False,
            grid=2,
            **more,
        )
        for name, parameter in stage.named_parameters():
            if parameter.requires_grad and "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    assert isinstance(stage, ReasoningSegmenter)
    return stage.eval()


@pytest.fixture(scope="module")
def stage(promptable: Path, language_model: Path) -> ReasoningSegmenter:
    return new(promptable, language_model)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 3, 50, 64, generator=torch.Generator().manual_seed(0))


def answers(network: ReasoningSegmenter, image: torch.Tensor, *texts: str) -> list:
    """Return the masks of answers that are given."""
    conversation = network.head.language.conversation
    embedding = network.encode(image)
    visual = network.head.see(embedding.features).expand(len(texts), -1, -1)
    asked = [conversation.question(QUESTION)] * len(texts)
    return network.masks_of(embedding, visual, asked, [conversation.answer(text) for text in texts])


def test_each_mark_of_an_answer_is_a_mask(stage: ReasoningSegmenter, image: torch.Tensor):
    none, one, two = answers(stage, image, "None.", "It: [SEG].", "It: [SEG], and that: [SEG].")
    assert [one.logits.shape for one in (none, one, two)] == [(0, 50, 64), (1, 50, 64), (2, 50, 64)]
    assert two.text == "It: [SEG], and that: [SEG]." and two.iou.shape == (2,)
    torch.testing.assert_close(two.logits[:1], one.logits, atol=1e-4, rtol=1e-4)  # later words change nothing
    assert not torch.allclose(two.logits[0], two.logits[1])


def test_the_mask_depends_on_question_and_picture(stage: ReasoningSegmenter, image: torch.Tensor):
    conversation, embedding = stage.head.language.conversation, stage.encode(image)
    visual = stage.head.see(embedding.features)
    asked = [conversation.question("Where is the liver?")]
    other = stage.masks_of(embedding, visual, asked, [conversation.answer("It: [SEG].")])
    mirrored = answers(stage, image.flip(-1), "It: [SEG].")
    first = answers(stage, image, "It: [SEG].")
    assert not torch.allclose(first[0].logits, other[0].logits)
    assert not torch.allclose(first[0].logits, mirrored[0].logits)


def test_questions_together_are_answered_as_alone(stage: ReasoningSegmenter, image: torch.Tensor):
    asked = [QUESTION, "Show the liver in this picture, and say what else is in it."]
    embedding = stage.encode(image)
    together = stage.answer(embedding, asked, most_tokens=8)
    for question, found in zip(asked, together, strict=True):
        (alone,) = stage.answer(embedding, [question], most_tokens=8)
        assert alone.text == found.text
        torch.testing.assert_close(alone.logits, found.logits, atol=1e-4, rtol=1e-4)


def test_what_it_writes_is_read_back_to_the_same_masks(stage: ReasoningSegmenter, image: torch.Tensor):
    """The new token is made the likeliest one, so that answers have masks."""
    rows = stage.head.language.model.get_output_embeddings().rows
    before = rows.detach().clone()
    embedding = stage.encode(image)
    conversation = stage.head.language.conversation
    with torch.no_grad():
        visual = stage.head.see(embedding.features)
        read = stage.read_answers(visual, [conversation.question(QUESTION)], [[conversation.end]])
        rows += 100 * read.states[0] / read.states[0].norm()
        (found,) = stage.answer(embedding, [QUESTION], most_tokens=3)
        rows.copy_(before)
    assert found.text.startswith("[SEG]") and len(found.logits) == found.text.count("[SEG]")
    assert found.logits.isfinite().all() and found.logits.shape[1:] == (50, 64)


def test_boxes_are_answered_as_by_the_base(promptable: Path, language_model: Path, image: torch.Tensor):
    frozen = new(promptable, language_model, decoder="frozen")
    base = build_promptable("mini", promptable, 64, mixed_precision=False)
    boxes = torch.tensor([[[4.0, 5, 40, 30]]])
    with torch.no_grad():
        assert torch.equal(frozen(image, boxes=boxes).logits, base(image, boxes=boxes).logits)


@pytest.mark.parametrize("preset", ["lora", "nf4", "nf4_lora"])
@pytest.mark.parametrize("decoder", ["lora", "full"])
def test_a_saved_stage_gives_equal_logits(
    promptable: Path, language_model: Path, image: torch.Tensor, tmp_path: Path, preset: str, decoder: str
):
    made = new(promptable, language_model, language_preset=preset, decoder=decoder)
    folder = save_stage(made, tmp_path / "stage", task="questions", class_names=["vessel"])
    assert not any("base_layer" in name or "embed_tokens.base" in name for name in made.head.state_dict())
    names = open_adapter(folder).extra("head").keys()
    assert any("lora_" in name for name in names if name.startswith("language")) == (preset != "nf4")
    again: Any = load_stage(folder, pretrained=promptable, mixed_precision=False)
    for found, expected in zip(
        answers(again, image, "It: [SEG]."), answers(made, image, "It: [SEG]."), strict=True
    ):
        assert torch.equal(found.logits, expected.logits)
    embedding = again.encode(image)
    assert again.answer(embedding, [QUESTION])[0].text == made.answer(embedding, [QUESTION])[0].text
    card = open_adapter(folder).card
    assert card["head"]["language"]["preset"] == preset and "questions" in card["head"]["prompts"]


def test_training_goes_on_from_a_saved_stage(reasoning_stage: Path, promptable: Path, language_model: Path):
    going_on = new_stage(
        build_encoder("mini", promptable, 64),
        start_from=reasoning_stage,
        head="reasoning",
        pretrained=promptable,
        language_model=str(language_model),
        language_precision="float32",
        grid=2,
    )
    saved = open_adapter(reasoning_stage).extra("head")
    state = going_on.head.state_dict()
    assert state.keys() == saved.keys() and all(torch.equal(state[name], saved[name]) for name in saved)


def test_a_stage_on_another_language_model_is_refused(
    reasoning_stage: Path, promptable: Path, language_model: Path
):
    weights = language_model / "tokenizer_config.json"
    content = weights.read_text()
    try:
        weights.write_text(content + " ")
        with pytest.raises(
            ValueError, match=r"expected the language model .* which the adapter was trained on"
        ):
            load_stage(reasoning_stage, pretrained=promptable)
    finally:
        weights.write_text(content)


def test_a_temperature_below_zero_is_refused(stage: ReasoningSegmenter, image: torch.Tensor):
    with pytest.raises(ValueError, match="temperature: expected 0 or more, found -1"):
        stage.answer(stage.encode(image), [QUESTION], temperature=-1)
    with pytest.raises(ValueError, match="expected 1 to 32 visual tokens"):
        new_head(grid=0)


def new_head(**more: Any) -> Any:
    from monai_lora_sam.networks import ReasoningHead

    return ReasoningHead([256], **more)
