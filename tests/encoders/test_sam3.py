"""SAM 3's encoder against transformers' own model."""

from __future__ import annotations

import pytest
import torch
from transformers import Sam3VisionModel

from monai_lora_sam.encoders.sam3 import Sam3Encoder


def reference(encoder, config, image):
    """Return what transformers computes with the same weights, its positions built for the size."""
    model = Sam3VisionModel(config).eval()
    model.load_state_dict(encoder.model.state_dict())
    with torch.no_grad():
        return model(image).fpn_hidden_states


@pytest.mark.parametrize("side", [56, 28, 70, 84, 98, 112])
def test_square_sizes_equal_transformers_built_for_them(sam3_config, randomise, side):
    encoder = randomise(Sam3Encoder(sam3_config()))
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        levels = encoder(image)
    for level, expected in zip(levels, reference(encoder, sam3_config(side), image), strict=True):
        assert torch.equal(level, expected)


def test_landscape_equals_transformers_built_for_it(sam3_config, randomise):
    encoder = randomise(Sam3Encoder(sam3_config()))
    image = torch.randn(1, 3, 42, 84)
    # transformers takes (width, height) here.
    expected = reference(encoder, sam3_config((84, 42)), image)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(encoder(image), expected, strict=True))


def test_portrait_spreads_its_longer_side_over_one_window(sam3_config, randomise):
    encoder = randomise(Sam3Encoder(sam3_config()))
    image = torch.randn(1, 3, 84, 42)
    model = Sam3VisionModel(sam3_config((42, 84))).eval()
    model.load_state_dict(encoder.model.state_dict())
    # transformers scales by the width; the rule here is the longer side.
    model.backbone.layers[1].position_ids *= 3 / 6
    with torch.no_grad():
        expected = model(image).fpn_hidden_states
        assert all(torch.equal(a, b) for a, b in zip(encoder(image), expected, strict=True))


def test_strides_and_channels_describe_the_levels(sam3_config):
    encoder = Sam3Encoder(sam3_config())
    assert encoder.strides == (3.5, 7, 14, 28)
    levels = encoder(torch.zeros(1, 3, 84, 56))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, int(84 / stride), int(56 / stride))
        for stride, channels in zip(encoder.strides, encoder.channels, strict=True)
    ]


def test_a_size_first_seen_in_inference_mode_can_be_trained_at(sam3_config):
    encoder = Sam3Encoder(sam3_config())
    with torch.inference_mode():
        encoder(torch.zeros(1, 3, 70, 70))
    encoder(torch.randn(1, 3, 70, 70))[0].sum().backward()
    assert encoder.blocks[1].attention.q_proj.weight.grad.abs().sum() > 0


def test_another_size_between_forward_and_backward_changes_nothing(sam3_config, randomise):
    gradients = []
    for disturb in (False, True):
        encoder = randomise(Sam3Encoder(sam3_config()))
        encoder.set_gradient_checkpointing(True)
        torch.manual_seed(0)
        loss = encoder(torch.randn(1, 3, 56, 56))[0].square().sum()
        if disturb:
            encoder(torch.zeros(1, 3, 84, 84))
        loss.backward()
        gradients.append(encoder.blocks[1].attention.q_proj.weight.grad)
    assert torch.equal(*gradients)


def test_bfloat16_parameters_keep_float32_positions(sam3_config, randomise):
    encoder = randomise(Sam3Encoder(sam3_config()))
    image = torch.randn(1, 3, 112, 112)
    with torch.no_grad():
        exact = encoder(image)[2]
        rough = encoder.to(torch.bfloat16)(image)[2]
    assert rough.dtype is torch.bfloat16
    assert (exact - rough.float()).abs().mean() < 0.03 * exact.abs().mean()
