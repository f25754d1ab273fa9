from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from monai_lora_sam.adapters import AdapterStack


@pytest.mark.parametrize("family", ["sam3", "sam"])
def test_without_active_adapter_the_output_is_the_encoders_own(
    make_encoder, image, features, same, train_steps, family
):
    expected = features(make_encoder(family), image(family))
    stack = AdapterStack(make_encoder(family))
    assert same(features(stack, image(family)), expected)
    stack.add("vessels", r=4, targets="all")
    assert same(features(stack, image(family)), expected)
    stack.train_only("vessels")
    train_steps(stack, image(family))
    assert not same(features(stack, image(family)), expected)
    stack.activate()
    assert same(features(stack, image(family)), expected)


def test_active_adapter_equals_peft_on_its_own(make_encoder, image, features, same):
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=4, alpha=12, targets="qv", dropout=0.1, layers=2)
    stack.activate("vessels")
    config = LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"], layers_to_transform=[4, 5], lora_dropout=0.1
    )
    alone = get_peft_model(make_encoder(), config).eval()
    ours = {name: p for name, p in stack.model.named_parameters() if "lora_" in name}
    theirs = {name: p for name, p in alone.named_parameters() if "lora_" in name}
    assert {name.replace(".vessels.", ".default.") for name in ours} == set(theirs)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in ours.items():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        theirs[name.replace(".vessels.", ".default.")].data = parameter.data.clone()
    assert same(features(stack, image()), features(alone, image()))


def test_training_the_second_leaves_the_first_bit_equal(make_encoder, image, features, same, train_steps):
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=4, targets="qv", dropout=0.2)
    stack.train_only("vessels")
    train_steps(stack, image())
    first = features(stack, image())

    stack.add("segments", r=4, targets="all", dropout=0.2)
    assert same(features(stack, image()), first)
    stack.train_only("segments")
    assert stack.active == ("vessels", "segments")
    moved = train_steps(stack, image())
    assert moved and all(".segments." in name for name in moved)
    assert not same(features(stack, image()), first)
    with stack.using("vessels"):
        assert same(features(stack, image()), first)
    assert stack.active == ("vessels", "segments")
    stack.activate("vessels")
    assert same(features(stack, image()), first)


def test_active_adapters_are_summed(trained_pair, image):
    """Each layer adds the updates of the active adapters, computed here with plain matrix products."""
    layer = trained_pair.encoder.blocks[-1].attention.q_proj
    x = torch.randn(3, layer.in_features)
    trained_pair.activate("vessels", "segments")
    expected = layer.base_layer(x)
    for name in ("vessels", "segments"):
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        expected = expected + x @ down.T @ up.T * 32 / 4
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_train_only_gives_gradients_to_one_adapter(trained_pair, image):
    assert any(p.grad is not None for p in trained_pair.parameters())
    trained_pair.train_only("vessels")
    assert all(p.grad is None for p in trained_pair.parameters())
    trained_pair.activate("vessels", "segments")
    trainable = {name for name, p in trained_pair.named_parameters() if p.requires_grad}
    assert trainable and all(".vessels." in name for name in trainable)
    with trained_pair.using("segments"):
        pass
    assert {name for name, p in trained_pair.named_parameters() if p.requires_grad} == trainable
    trained_pair.train()
    sum(level.sum() for level in trained_pair(image())).backward()
    assert {name for name, p in trained_pair.named_parameters() if p.grad is not None} == trainable


def test_only_the_trained_adapters_dropout_follows_train(trained_pair, image, features, same):
    trained_pair.train_only("segments")
    trained_pair.train()
    assert trained_pair.training
    in_training = {name for name, module in trained_pair.named_modules() if module.training and name}
    assert in_training and all(name.endswith("lora_dropout.segments") for name in in_training)
    with trained_pair.using("vessels"):
        assert same(features(trained_pair, image()), features(trained_pair, image()))
    assert not same(features(trained_pair, image()), features(trained_pair, image()))
    torch.nn.Sequential(trained_pair).eval()
    assert not any(module.training for module in trained_pair.modules())


def test_gradient_checkpointing_gives_equal_gradients(trained_pair, image):
    gradients = []
    trained_pair.train_only("segments")
    for enabled in (False, True):
        trained_pair.encoder.set_gradient_checkpointing(enabled)
        trained_pair.zero_grad()
        sum(level.square().mean() for level in trained_pair(image())).backward()
        gradients.append([p.grad.clone() for p in trained_pair.parameters() if p.requires_grad])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("names", [("vessels",), ("vessels", "segments"), ()])
def test_merged_encoder_equals_the_sum(trained_pair, image, features, names):
    before = copy.deepcopy(trained_pair.state_dict())
    merged = trained_pair.merge(*names)
    assert not any("lora" in name or "base_layer" in name for name, _ in merged.named_modules())
    with trained_pair.using(*names):
        for expected, found in zip(features(trained_pair, image()), features(merged, image()), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    changed = merged.fingerprint != trained_pair.encoder.fingerprint
    assert changed == bool(names)
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained_pair.state_dict().items())


def test_merged_encoder_carries_a_stack_again(trained_pair, image, features, same):
    again = AdapterStack(trained_pair.merge("vessels"))
    expected = features(again, image())
    again.add("vessels", r=2)
    again.activate("vessels")
    assert same(features(again, image()), expected)


def test_budget_counts_what_peft_counts(make_encoder):
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=4, targets="qv")
    stack.train_only("vessels")
    trainable, _ = stack.model.get_nb_trainable_parameters()
    # q and v of 6 blocks: r · (inputs + outputs)
    assert trainable == 4 * (144 + 144) * 2 * 6
    assert stack.budget() == {"vessels": {"parameters": trainable, "bytes": 4 * trainable}}


def test_adapters_stay_in_float32_on_a_bfloat16_base(make_encoder, image):
    stack = AdapterStack(make_encoder().bfloat16())
    stack.add("vessels", r=4)
    stack.train_only("vessels")
    assert {p.dtype for p in stack.parameters() if p.requires_grad} == {torch.float32}
    assert stack(image().bfloat16())[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"r": 0}, "r=0: expected a whole number from 1"),
        ({"r": -4}, "r=-4"),
        ({"r": 2.5}, "r=2.5"),
        ({"alpha": 0}, "alpha=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"targets": "everything"}, "'everything'.*'qv'"),
        ({"layers": 7}, "layers=7.*1 to 6"),
        ({"layers": [9]}, r"layers=\[9\].*0 to 5"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make_encoder, arguments, message):
    stack = AdapterStack(make_encoder())
    with pytest.raises(ValueError, match=message):
        stack.add("vessels", **arguments)
    assert stack.names == ()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a.b",
        "a b",
        "-a",
        "é",
        "a\\b",
        "mlp",
        "layers",
        "0",
        "lora_A",
        "lora",
        "train",
        "weight",
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(make_encoder, name):
    """PEFT filters tensors by ``.<name>.``: an adapter named "mlp" would empty every other one's file."""
    with pytest.raises(ValueError, match="name"):
        AdapterStack(make_encoder()).add(name)


def test_unknown_and_doubled_names_are_refused(make_encoder):
    stack = AdapterStack(make_encoder())
    stack.add("vessels")
    with pytest.raises(ValueError, match=r"'vessels' is on the stack already"):
        stack.add("vessels")
    for call in (stack.activate, stack.train_only, stack.merge, stack.tensors):
        with pytest.raises(KeyError, match=r"'segments'.*\['vessels'\]"):
            call("segments")
    with pytest.raises(ValueError, match="once"):
        stack.activate("vessels", "vessels")
    assert stack.active == ()
