"""Adapters on a base with 4-bit weights: PEFT's own layer, training, disk, merging, and bases of another precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import nn

from monai_lora_sam.adapters import AdapterStack, apply_strategy, export_peft, read_card
from monai_lora_sam.encoders import ImageEncoder, build_encoder, save_encoder
from monai_lora_sam.encoders.quantise import quantise_encoder
from monai_lora_sam.networks import build_segmenter, feature_identity

functional = pytest.importorskip("bitsandbytes.functional")
Build = Callable[..., ImageEncoder]


@pytest.fixture
def quantised(make_encoder: Build) -> Build:
    """Build the small encoders of this room with 4-bit weights."""

    def make(family: str = "sam3") -> ImageEncoder:
        encoder = make_encoder(family)
        quantise_encoder(encoder)
        return encoder

    return make


@pytest.fixture
def trained(quantised: Build, image, train_steps) -> AdapterStack:
    stack = AdapterStack(quantised())
    stack.add("liver", r=4, targets="all")
    stack.train_only("liver")
    train_steps(stack, image())
    return stack


def base_bytes(stack: AdapterStack) -> dict[str, bytes]:
    """Return every byte of the base: weights, scales, biases, norms, buffers."""
    tensors = {key: value for key, value in stack.encoder.state_dict().items() if "lora_" not in key}
    assert any(key.endswith(".absmax") for key in tensors)
    return {
        key.replace(".base_layer", ""): bytes(value.contiguous().view(-1).view(torch.uint8).tolist())
        for key, value in tensors.items()
    }


@pytest.mark.parametrize("family", ["sam3", "sam"])
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_training_moves_the_adapter_and_no_byte_of_the_base(
    quantised: Build, image, train_steps, features, same, family: str, mixed_precision: bool
):
    encoder = quantised(family)
    plain = features(encoder, image(family))
    stack = AdapterStack(encoder)
    before = base_bytes(stack)
    stack.add("liver", r=4, targets="all")
    stack.train_only("liver")
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
        moved = train_steps(stack, image(family))
    assert moved and all(".liver." in name for name in moved)
    assert all(p.dtype is torch.float32 for name, p in stack.named_parameters() if "lora_" in name)
    assert base_bytes(stack) == before
    assert not same(features(stack, image(family)), plain)
    stack.activate()
    assert same(features(stack, image(family)), plain)


def test_the_layer_is_pefts_own_for_4_bits(trained: AdapterStack):
    wrapped = [type(m) for m in trained.model.modules() if hasattr(m, "lora_A") and hasattr(m, "base_layer")]
    assert {(kind.__module__, kind.__name__) for kind in wrapped} == {("peft.tuners.lora.bnb", "Linear4bit")}


def test_gradient_checkpointing_gives_the_same_gradients(quantised: Build, image):
    gradients = []
    for checkpointing in (False, True):
        encoder = quantised()
        encoder.set_gradient_checkpointing(checkpointing)
        stack = AdapterStack(encoder)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            stack.add("liver", r=4, dropout=0.0)
        stack.train_only("liver")
        for name, parameter in stack.named_parameters():
            if "lora_B" in name:  # zero at first, which would keep gradients from lora_A
                parameter.data.fill_(0.01)
        stack(image())[0].square().mean().backward()
        gradients.append([p.grad for p in stack.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(gradient.abs().sum() > 0 for gradient in gradients[0])


def test_saved_and_loaded_on_a_base_from_disk_it_is_the_same_to_the_bit(
    trained: AdapterStack, quantised: Build, image, features, same, tmp_path: Path
):
    expected = features(trained, image())
    card = trained.save("liver", tmp_path / "liver")
    assert card["encoder"]["quantisation"] == "nf4"
    base = save_encoder(quantised(), tmp_path / "base")
    for quantise in (None, "nf4"):
        stack = AdapterStack(build_encoder("tiny", base, 56, quantise=quantise))
        stack.activate(stack.load(tmp_path / "liver"))
        assert same(features(stack, image()), expected)


def test_peft_alone_loads_it(trained: AdapterStack, quantised: Build, image, features, same, tmp_path: Path):
    expected = features(trained, image())
    trained.save("liver", tmp_path / "liver")
    model = PeftModel.from_pretrained(quantised(), str(tmp_path / "liver")).eval()
    assert same(features(model, image()), expected)
    export_peft(tmp_path / "liver", tmp_path / "peft")
    encoder = quantised()
    encoder.model = PeftModel.from_pretrained(encoder.model, str(tmp_path / "peft")).base_model.model.eval()
    assert same(features(encoder, image()), expected)


def test_merging_adds_the_adapter_to_the_weights_that_bitsandbytes_gives_back(
    trained: AdapterStack, image, features, tmp_path: Path
):
    before = features(trained, image())
    state = torch.random.get_rng_state()
    merged = trained.merge("liver")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert merged.quantisation is None and merged.fingerprint != trained.encoder.fingerprint
    layer = next(m for m in trained.model.modules() if hasattr(m, "lora_A") and hasattr(m, "base_layer"))
    name = next(key for key, m in trained.encoder.named_modules() if m is layer)
    weight = layer.base_layer.weight
    expected = functional.dequantize_4bit(weight.data, weight.quant_state) + layer.get_delta_weight("liver")
    torch.testing.assert_close(merged.get_submodule(name).weight, expected)
    assert all(type(m) is nn.Linear for m in merged.modules() if isinstance(m, nn.Linear))
    for level, other in zip(features(merged, image()), before, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-5)
    # The stack itself stays in 4 bits, and the merged encoder is a plain one on disk.
    assert trained.encoder.quantisation == "nf4"
    loaded = build_encoder("tiny", save_encoder(merged, tmp_path), 56)
    assert (loaded.quantisation, loaded.fingerprint) == (None, merged.fingerprint)


def test_merging_nothing_gives_the_plain_encoder(quantised: Build, image, features, same):
    stack = AdapterStack(quantised())
    expected = features(stack, image())
    assert same(features(stack.merge(), image()), expected)
    stack.add("liver", r=2)
    assert same(features(stack.merge(), image()), expected)


def test_a_base_of_another_precision_is_refused(
    trained: AdapterStack, make_encoder: Build, quantised: Build, tmp_path: Path
):
    trained.save("liver", tmp_path / "nf4")
    plain = AdapterStack(make_encoder())
    with pytest.raises(
        ValueError, match=r"expected .* weights in nf4, .* found full precision;.*quantise='nf4'"
    ):
        plain.load(tmp_path / "nf4")
    plain.add("liver", r=2)
    plain.save("liver", tmp_path / "plain")
    assert "quantisation" not in read_card(tmp_path / "plain")["encoder"]
    stack = AdapterStack(quantised())
    with pytest.raises(
        ValueError, match=r"expected .* weights in full precision, .* found nf4;.*quantise=None"
    ):
        stack.load(tmp_path / "plain")
    assert stack.names == ()


@pytest.mark.parametrize("strategy", ["last_n", "full"])
def test_strategies_that_move_the_base_are_refused(quantised: Build, strategy: str):
    stack = AdapterStack(quantised())
    with pytest.raises(ValueError, match=rf"'{strategy}' moves weights .* nf4: expected lora or frozen"):
        apply_strategy(stack, strategy, "liver", last_n=1)
    assert stack.names == ()
    apply_strategy(stack, "frozen", "liver")


def test_stored_features_of_another_precision_are_others(make_encoder: Build, quantised: Build):
    plain, rounded = (
        feature_identity(build_segmenter(build(), name="liver", strategy="frozen"))
        for build in (make_encoder, quantised)
    )
    assert plain["encoder"] == rounded["encoder"] and plain != rounded
