"""Common parts of every encoder: sizes, gradient checkpointing, the fingerprint, low precision."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from peft import LoraConfig, PeftModel

from monai_lora_sam.encoders import build_encoder, weights_fingerprint
from monai_lora_sam.encoders.sam import SamEncoder
from monai_lora_sam.encoders.sam3 import Sam3Encoder


@pytest.fixture(params=["sam3", "sam"])
def encoder(request, sam3_config, sam_config, randomise):
    if request.param == "sam3":
        return randomise(Sam3Encoder(sam3_config()))
    return randomise(SamEncoder(sam_config()))


@pytest.mark.parametrize(
    ("name", "side"), [("tiny", 56), ("sam", 32), ("medsam_lite", 32), ("mini", 64), ("mini_vit", 64)]
)
def test_goes_on_after_any_block(name, side, sam_config, randomise):
    torch.manual_seed(0)
    encoder = (
        randomise(SamEncoder(sam_config())) if name == "sam" else build_encoder(name, image_size=side).eval()
    )
    image = torch.randn(2, 3, side, 2 * side)
    ran: list[int] = []
    for index, block in enumerate(encoder.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    with torch.no_grad():
        whole = encoder(image)
        for blocks in range(len(encoder.blocks) + 1):
            ran.clear()
            state = encoder.begin(image, blocks)
            assert ran == list(range(blocks))
            levels = encoder.resume(state, blocks)
            assert ran == list(range(len(encoder.blocks)))
            assert all(torch.equal(level, expected) for level, expected in zip(levels, whole, strict=True))


def saved_bytes_and_gradients(model, image):
    """Return the bytes that autograd keeps for the backward pass, and the gradients."""
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.zero_grad()
    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = sum(level.square().mean() for level in model(image))
    loss.backward()
    return sum(storages.values()), {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def test_offloaded_checkpoints_leave_for_the_cpu_and_keep_the_gradients(encoder, monkeypatch):
    image = torch.randn(2, 3, encoder.image_size, encoder.image_size)
    _, plain = saved_bytes_and_gradients(encoder, image)
    moved = []

    def offload():
        return torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: moved.append(tensor.nbytes) or tensor, lambda tensor: tensor
        )

    encoder.set_gradient_checkpointing("offload")
    _, stored = saved_bytes_and_gradients(encoder, image)
    monkeypatch.setattr(encoder, "offload", offload)
    saved_bytes_and_gradients(encoder, image)
    assert all(torch.equal(plain[name], stored[name]) for name in plain)
    assert sum(size > 0 for size in moved) >= len(encoder.blocks)  # the input of each
    with pytest.raises(ValueError, match="expected True, False or 'offload', found 'cpu'"):
        encoder.set_gradient_checkpointing("cpu")


@pytest.mark.parametrize("training", [False, True])
def test_checkpointing_keeps_the_gradients_and_lowers_the_memory(encoder, training):
    encoder.train(training)
    image = torch.randn(2, 3, encoder.image_size, encoder.image_size)
    plain_bytes, plain = saved_bytes_and_gradients(encoder, image)
    encoder.set_gradient_checkpointing(True)
    lower_bytes, checkpointed = saved_bytes_and_gradients(encoder, image)
    assert plain.keys() == checkpointed.keys() and len(plain) == len(list(encoder.parameters()))
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)
    assert lower_bytes < 0.6 * plain_bytes
    encoder.set_gradient_checkpointing(False)
    assert saved_bytes_and_gradients(encoder, image)[0] == plain_bytes


def test_checkpointing_works_on_a_frozen_base_with_adapters_and_dropout(encoder):
    targets = ["q_proj", "v_proj"] if encoder.family == "sam3" else ["qkv"]
    encoder.requires_grad_(False)
    model = PeftModel(
        encoder, LoraConfig(r=4, target_modules=targets, lora_dropout=0.5, init_lora_weights=False)
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.train()
    image = torch.randn(2, 3, encoder.image_size, encoder.image_size)
    plain_bytes, plain = saved_bytes_and_gradients(model, image)
    encoder.set_gradient_checkpointing(True)
    lower_bytes, checkpointed = saved_bytes_and_gradients(model, image)
    assert all("lora_" in name for name in plain) and plain
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)
    assert lower_bytes < 0.6 * plain_bytes


def test_checkpointing_does_nothing_without_gradients(encoder, monkeypatch):
    encoder.set_gradient_checkpointing(True)
    monkeypatch.setattr("monai_lora_sam.encoders.base.checkpoint", None)
    with torch.no_grad():
        encoder(torch.zeros(1, 3, encoder.image_size, encoder.image_size))


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [(100, 112, "height 100 .* 98 or 112"), (112, 13, "width 13 .* nearest: 28"), (112, 0, "width 0 .* 28")],
)
def test_other_sizes_are_refused_with_the_nearest(sam3_config, height, width, message):
    with pytest.raises(ValueError, match=message):
        Sam3Encoder(sam3_config())(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize(
    ("size", "expected"), [((56, 84), (56, 84)), ((57, 83), (70, 84)), ((1, 29), (28, 42))]
)
def test_the_enclosing_size_is_valid_and_the_smallest(sam3_config, size, expected):
    encoder = Sam3Encoder(sam3_config())
    assert encoder.enclosing_size(*size) == expected
    encoder.check_size(*expected)


def test_sam_names_multiples_of_sixteen(sam_config):
    with pytest.raises(ValueError, match="96 or 112"):
        SamEncoder(sam_config())(torch.zeros(1, 3, 100, 96))
    assert SamEncoder(sam_config())(torch.zeros(1, 3, 16, 16))[0].shape == (1, 8, 1, 1)


@pytest.mark.parametrize("shape", [(3, 56, 56), (1, 1, 56, 56), (1, 4, 56, 56)])
def test_other_shapes_are_refused(encoder, shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        encoder(torch.zeros(shape))


def test_integer_images_are_refused(encoder):
    size = encoder.image_size
    with pytest.raises(TypeError, match="uint8"):
        encoder(torch.zeros(1, 3, size, size, dtype=torch.uint8))


def test_autocast_and_channels_last_stay_near_float32(encoder):
    size = encoder.image_size
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        exact = encoder(image)
    encoder.to(memory_format=torch.channels_last)
    image = image.contiguous(memory_format=torch.channels_last)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled), torch.autocast("cpu", torch.bfloat16):
            levels = encoder(image)
        for level, expected in zip(levels, exact, strict=True):
            assert (level.float() - expected).abs().mean() < 0.1 * expected.abs().mean()


def test_fingerprint_is_stable_under_casts_adapters_and_copies(encoder):
    before = encoder.fingerprint
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert before == encoder.to(memory_format=torch.channels_last).renew_fingerprint()
    assert copy.deepcopy(encoder).fingerprint == before
    targets = ["q_proj"] if encoder.family == "sam3" else ["qkv"]
    PeftModel(encoder, LoraConfig(r=2, target_modules=targets))
    assert encoder.to(torch.bfloat16).fingerprint == before


def test_fingerprint_follows_every_weight_and_its_name(encoder):
    before = encoder.fingerprint
    with torch.no_grad():
        encoder.blocks[-1].mlp.get_parameter(f"{'fc2' if encoder.family == 'sam3' else 'lin2'}.bias")[-1] += (
            1e-6
        )
    assert encoder.fingerprint == before  # of the base as it was built
    assert encoder.renew_fingerprint() != before
    first, second = torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))
    second[0].load_state_dict(first.state_dict())
    assert weights_fingerprint(first) != weights_fingerprint(second)


def test_low_precision_has_the_fingerprint_of_float32():
    torch.manual_seed(3)
    exact = build_encoder("tiny")
    torch.manual_seed(3)
    rough = build_encoder("tiny", dtype=torch.bfloat16)
    assert next(rough.parameters()).dtype is torch.bfloat16
    assert rough.fingerprint == exact.fingerprint
