"""SAM 3 in miniature by words: against transformers' own model, chunks, boxes, the shared encoder, loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.sam3.configuration_sam3 import Sam3Config
from transformers.models.sam3.modeling_sam3 import Sam3Model

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.losses import ConceptLoss
from monai_lora_sam.losses.concept_loss import WEIGHTS, match, relative_boxes
from monai_lora_sam.networks import TextSegmenter, build_text_segmenter, new_detector
from monai_lora_sam.networks import text_segmenter as module

SIDE = 112
PHRASES = ["left kidney", "spleen", "liver"]
BOXES = torch.tensor([[10.0, 20, 60, 70], [50, 5, 90, 60]])


@pytest.fixture(scope="module")
def folder(text_sam3: Path) -> Path:
    return text_sam3


@pytest.fixture(scope="module")
def network(folder: Path) -> TextSegmenter:
    return build_text_segmenter(folder, mixed_precision=False)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("boxes", [False, True])
def test_answers_equal_those_of_transformers(
    network: TextSegmenter, folder: Path, image: torch.Tensor, boxes: bool
):
    model = Sam3Model.from_pretrained(folder).eval()
    ids, mask = network.tokenise(PHRASES[:1])
    prompts: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if boxes:
        low, high = BOXES[None, :, :2] / SIDE, BOXES[None, :, 2:] / SIDE
        prompts |= {"input_boxes": torch.cat([(low + high) / 2, high - low], -1)}
        prompts["input_boxes_labels"] = torch.tensor([[1, 0]])
    with torch.no_grad():
        expected = model(pixel_values=image, **prompts)
        more = {"boxes": BOXES[None], "box_labels": torch.tensor([[1, 0]])} if boxes else {}
        found = network.answer(network.encode(image), ids, mask, **more)
    for name in ("pred_masks", "pred_boxes", "pred_logits", "presence_logits", "semantic_seg"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-3)


def test_phrases_in_chunks_answer_as_one_by_one(network: TextSegmenter, image: torch.Tensor):
    seen: list[int] = []
    handle = network.detector.detr_encoder.register_forward_pre_hook(
        lambda _, __, named: seen.append(len(named["text_features"])), with_kwargs=True
    )
    encoded: list[int] = []
    second = network.stack.encoder.register_forward_hook(lambda *_: encoded.append(1))
    found = network.segment(image, PHRASES, threshold=0.0)
    handle.remove(), second.remove()
    assert seen == [module.PHRASES_AT_ONCE, 1] and len(encoded) == 1
    for phrase, together in zip(PHRASES, found, strict=True):
        [alone] = network.segment(image, [phrase], threshold=0.0)
        torch.testing.assert_close(alone.scores, together.scores, atol=1e-5, rtol=1e-4)
        assert together.phrase == phrase and together.masks.shape == (8, SIDE, SIDE)
        assert (together.scores.diff() <= 0).all() and together.scores.max() <= together.presence
        torch.testing.assert_close(alone.boxes, together.boxes, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(found[0].scores, found[1].scores)
    assert len(network.segment(image, PHRASES, threshold=1.0)[0].masks) == 0


def test_boxes_alone_and_images_of_any_shape(network: TextSegmenter):
    image = torch.randn(1, 3, 60, 130, generator=torch.Generator().manual_seed(1))
    [found] = network.segment(image, boxes=torch.tensor([[5.0, 5, 50, 50]]), threshold=0.0)
    assert (
        found.phrase == "visual" and found.masks.shape == (8, 60, 130) and found.semantic.shape == (60, 130)
    )


def test_the_encoder_is_shared_with_vision_stages(folder: Path, image: torch.Tensor):
    from monai_lora_sam.adapters import AdapterStack

    stack = AdapterStack(build_encoder("sam3", folder, SIDE))
    with torch.no_grad():
        before = stack(image)
    network = build_text_segmenter(folder, stack=stack, mixed_precision=False)
    plain = network.segment(image, PHRASES[:1], threshold=0.0)[0]
    stack.add("words", r=2)
    stack.train_only("words")
    for name, parameter in stack.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    network.adapters = ("words",)
    adapted = network.segment(image, PHRASES[:1], threshold=0.0)[0]
    assert not torch.allclose(plain.scores, adapted.scores)
    stack.activate()
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(before, stack(image), strict=True))
    network.segment(image, PHRASES[:1])
    assert stack.active == ()  # as before
    network.adapters = ()
    assert torch.equal(network.segment(image, PHRASES[:1], threshold=0.0)[0].scores, plain.scores)


def test_weights_of_the_video_model_load(
    folder: Path, tmp_path: Path, network: TextSegmenter, image: torch.Tensor
):
    import json

    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    renamed = {f"detector_model.{name}": tensor for name, tensor in tensors.items()}
    save_file({**renamed, "tracker_model.x": torch.zeros(1)}, tmp_path / "model.safetensors")
    raw = {"model_type": "sam3_video", "detector_config": json.loads((folder / "config.json").read_text())}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(FileNotFoundError, match=r"expected tokenizer.json beside the weights, found none"):
        build_text_segmenter(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    video = build_text_segmenter(tmp_path, mixed_precision=False)
    one, other = (net.segment(image, PHRASES[:1], threshold=0.0)[0].scores for net in (network, video))
    assert torch.equal(one, other)


def test_full_size_on_the_meta_device():
    with torch.device("meta"):
        detector = new_detector(Sam3Config())
    millions = {
        name: round(sum(p.numel() for p in part.parameters()) / 1e6, 1)
        for name, part in detector.named_children()
    }
    assert millions["text_encoder"] == pytest.approx(353.5, abs=1) and millions["detr_encoder"] == 9.5
    assert (
        millions["geometry_encoder"] == 8.1
        and millions["detr_decoder"] == 11.6
        and millions["mask_decoder"] == 2.3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected phrases or boxes, found neither"),
        ({"phrases": [""]}, "expected words"),
        ({"phrases": ["почка"]}, "phrase 'почка': expected Latin letters.*found Cyrillic"),
        ({"phrases": ["liver"] * 200}, "phrases: expected 1 to 100 for an image, found 200"),
        ({"phrases": ["liver " * 20]}, "expected up to 12 tokens, as the encoder takes, found 20"),
        ({"boxes": torch.tensor([[5.0, 5, 200, 50]])}, r"boxes: expected x0 < x1 from 0 to 112"),
        ({"boxes": torch.tensor([5.0, 5, 20, 50])}, r"boxes: expected the shape \(any, 4\), found \(4,\)"),
    ],
)
def test_bad_prompts_are_named(
    network: TextSegmenter, image: torch.Tensor, arguments: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        network.segment(image, **arguments)


def test_other_weights_are_refused(tmp_path: Path, folder: Path):
    (tmp_path / "config.json").write_text('{"model_type": "sam"}')
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"expected the configuration of SAM 3 .*found 'sam'"):
        build_text_segmenter(tmp_path)


# ---- losses ----------------------------------------------------------------------------------------------------


def test_the_loss_has_metas_terms_and_falls(folder: Path, image: torch.Tensor):
    network = build_text_segmenter(folder, mixed_precision=False)
    for part in (
        network.detector.detr_decoder,
        network.detector.mask_decoder,
        network.detector.dot_product_scoring,
    ):
        part.requires_grad_(True)
    masks = torch.zeros(2, SIDE, SIDE)
    masks[0, 20:60, 10:50] = masks[1, 70:100, 60:100] = 1
    with torch.no_grad():
        embedding = network.encode(image)
    ids, mask = network.tokenise(PHRASES[:2])
    criterion = ConceptLoss()
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(15):
        terms = criterion(network.answer(embedding, ids, mask), [masks, masks[:0]])
        assert set(terms) == {*WEIGHTS, "loss"}
        assert terms["loss"].detach() == pytest.approx(
            sum(float(terms[name].detach()) for name in WEIGHTS), rel=1e-4
        )
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        losses.append(float(terms["loss"].detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_an_absent_phrase_trains_presence_alone(network: TextSegmenter, image: torch.Tensor):
    network.detector.requires_grad_(True)
    terms = ConceptLoss()(
        network.answer(network.encode(image), *network.tokenise(PHRASES[:1])), [torch.zeros(0, 4, 4)]
    )
    assert terms["loss"] == terms["presence_loss"] > 0
    terms["loss"].backward()
    assert not network.detector.mask_decoder.mask_embedder.layers[0].weight.grad.any()
    assert network.detector.detr_decoder.presence_head.layer1.weight.grad.any()
    network.detector.requires_grad_(False).zero_grad()


def test_matching_takes_the_nearest_boxes():
    true = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    boxes = torch.tensor([[0.0, 0.5, 0.2, 0.7], [0.62, 0.6, 0.9, 0.88], [0.1, 0.12, 0.3, 0.3]])
    queries, instances = match(boxes, torch.zeros(3), true)
    assert dict(zip(queries.tolist(), instances.tolist(), strict=True)) == {1: 1, 2: 0}
    with pytest.raises(ValueError, match="found an empty one"):
        relative_boxes(torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match=r"weights: expected some of .*found \['loss'\]"):
        ConceptLoss({"loss": 1})
