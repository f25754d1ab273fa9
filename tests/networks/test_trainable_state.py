"""The state of the parameters that train, and of no others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_lora_sam.networks import TrainableState


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3).requires_grad_(False), nn.Linear(3, 1))


def test_only_what_trains_is_given_and_read_back():
    first, second = network(), network()
    with torch.no_grad():
        first[1].weight += 1.0
    state = TrainableState(first).state_dict()
    assert list(state) == ["1.weight", "1.bias"]
    TrainableState(second).load_state_dict(state)
    assert torch.equal(second[1].weight, first[1].weight)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_another_network_is_refused_and_nothing_is_written(change: str):
    state = TrainableState(network()).state_dict()
    if change == "missing":
        del state["1.bias"]
    elif change == "unknown":
        state["2.weight"] = torch.zeros(1)
    else:
        state["1.weight"] = torch.zeros(1, 4)
    own = network()
    before = own[1].weight.clone()
    with pytest.raises(ValueError, match="1 parameters differ"):
        TrainableState(own).load_state_dict(state)
    assert torch.equal(own[1].weight, before)
