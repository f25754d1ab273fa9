from __future__ import annotations

import pytest
import torch

from monai_lora_sam.adapters import STRATEGIES, AdapterStack, apply_strategy

LORA = {"r": 4, "dropout": 0.2}


def is_lora(name: str) -> bool:
    return "lora_" in name


def expected_moves(stack: AdapterStack, strategy: str) -> set[str]:
    """Name what a strategy may move, worked out from the parameter names alone."""
    names = {name for name, _ in stack.named_parameters()}
    if strategy == "lora":
        return {name for name in names if ".stage." in name}
    if strategy == "last_n":
        return {name for name in names if ".layers.4." in name or ".layers.5." in name} - set(
            filter(is_lora, names)
        )
    if strategy == "full":
        return {name for name in names if ".stage." not in name}
    return set()


@pytest.mark.parametrize("below", [False, True], ids=["alone", "with an adapter below"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_exactly_the_strategys_parameters_move(
    make_encoder, image, features, same, train_steps, strategy, below
):
    stack = AdapterStack(make_encoder())
    if below:
        apply_strategy(stack, "lora", "vessels", targets="all", **LORA)
        train_steps(stack, image())
    before = features(stack, image())
    apply_strategy(stack, strategy, "stage", last_n=2, **LORA)
    assert same(features(stack, image()), before)
    trainable = {name for name, p in stack.named_parameters() if p.requires_grad}
    moved = train_steps(stack, image())
    assert trainable == expected_moves(stack, strategy)
    # Adam moves every parameter that has any gradient at all; without one are k's biases, to which softmax is
    # blind, and the absolute positions' class token, which nothing reads.
    blind = {
        name for name in trainable if name.endswith("k_proj.bias") or name.endswith("k_proj.base_layer.bias")
    }
    assert moved <= trainable
    assert trainable - moved <= blind
    assert same(features(stack, image()), before) == (strategy == "frozen")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_frozen_part_stays_in_evaluation_mode(make_encoder, strategy):
    stack = AdapterStack(make_encoder())
    apply_strategy(stack, "lora", "vessels", **LORA)
    apply_strategy(stack, strategy, "stage", last_n=2, **LORA)
    stack.train()
    encoder = stack.encoder
    assert encoder.training == (strategy == "full")
    follows = {"lora": [], "frozen": [], "last_n": [4, 5], "full": list(range(6))}[strategy]
    assert [index for index, block in enumerate(encoder.blocks) if block.training] == follows
    dropouts = encoder.blocks[-1].attention.q_proj.lora_dropout
    assert dropouts["vessels"].training == (strategy == "full")
    if strategy == "lora":
        assert dropouts["stage"].training


def test_a_frozen_encoder_is_bit_equal_in_training_mode(make_encoder, image, features, same, train_steps):
    stack = AdapterStack(make_encoder())
    apply_strategy(stack, "lora", "vessels", **LORA)
    train_steps(stack, image())
    before = features(stack, image())
    apply_strategy(stack, "frozen", "stage")
    stack.train()
    assert same(features(stack, image()), before)
    with stack.using():
        assert same(features(stack, image()), features(make_encoder(), image()))


def test_training_goes_on_under_a_known_name(make_encoder, image, train_steps):
    stack = AdapterStack(make_encoder())
    apply_strategy(stack, "lora", "vessels", **LORA)
    train_steps(stack, image())
    before = {name: tensor.clone() for name, tensor in stack.tensors("vessels").items()}
    apply_strategy(stack, "lora", "vessels", **LORA)
    assert all(torch.equal(tensor, before[name]) for name, tensor in stack.tensors("vessels").items())
    with pytest.raises(ValueError, match=r"'vessels'.*'lora'.*expected 'full'"):
        apply_strategy(stack, "full", "vessels")


@pytest.mark.parametrize("last_n", [0, 7, None])
def test_last_n_that_does_not_fit_is_refused(make_encoder, last_n):
    with pytest.raises(ValueError, match=r"last_n=.*1 to 6"):
        apply_strategy(AdapterStack(make_encoder()), "last_n", last_n=last_n)


def test_unknown_strategy_lists_the_known_ones(make_encoder):
    with pytest.raises(ValueError, match=r"'qlora'.*\['lora', 'frozen', 'last_n', 'full'\]"):
        apply_strategy(AdapterStack(make_encoder()), "qlora")
