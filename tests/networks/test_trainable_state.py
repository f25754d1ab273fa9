"""The trained parameters of a network as a checkpoint holds them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_lora_sam.networks import TrainableState


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))


def test_frozen_parameters_stay_out_and_trained_ones_come_back():
    first, second = network(), network()
    frozen = second[0].weight.clone()
    state = TrainableState(first).state_dict()
    assert list(state) == ["1.weight", "1.bias"] and not any(
        tensor.requires_grad for tensor in state.values()
    )
    TrainableState(second).load_state_dict(state)
    assert torch.equal(second[1].weight, first[1].weight) and torch.equal(second[0].weight, frozen)


@pytest.mark.parametrize(
    "change", [{"1.weight": torch.zeros(2, 2)}, {"0.weight": torch.zeros(2, 2)}, {"2.weight": torch.zeros(1)}]
)
def test_other_names_and_shapes_are_refused(change):
    state = TrainableState(network()).state_dict() | change
    with pytest.raises(ValueError, match=f"1 parameters differ, for example .'{next(iter(change))}'"):
        TrainableState(network()).load_state_dict(state)
