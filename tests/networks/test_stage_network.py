"""The parts that all networks of stages share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.networks import StageNetwork, mixed_precision


@pytest.fixture
def network(random_encoder) -> StageNetwork:
    stack = AdapterStack(random_encoder())
    stack.add("liver", r=2)
    stack.train_only("liver")
    return StageNetwork(stack, nn.Linear(2, 2), adapters=["liver"], strategy="lora", name="liver")


def test_adapter_and_head_train_at_the_first_rate(network: StageNetwork):
    (group,) = network.parameter_groups(0.2, 0.1)
    assert (
        group["lr"] == 0.2 and len(group["params"]) == 2 + 2 * 2 * 6
    )  # head; A and B of q and v in six blocks
    network.stack.encoder.blocks[0].requires_grad_(True)
    rates = {group["lr"]: len(group["params"]) for group in network.parameter_groups(0.2, 0.1)}
    assert rates[0.1] > 0 and set(rates) == {0.2, 0.1}


def test_the_trained_part_is_the_adapters_and_the_heads(network: StageNetwork):
    names = network.trainable.state_dict()
    assert all("lora_" in name or name.startswith("head.") for name in names)
    assert network.adapters == ("liver",) and network.reads == {}


def test_autocast_follows_mixed_precision(network: StageNetwork, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mixed_precision, "cpu_computes_bfloat16", lambda: True)
    for mixed, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        network.mixed_precision = mixed
        with network.autocast(torch.device("cpu")):
            assert network.head(torch.zeros(1, 2)).dtype is dtype


def test_the_interface_alone_does_nothing(network: StageNetwork):
    image = torch.zeros(1, 3, 28, 28)
    for call in (
        lambda: network.read(image),
        lambda: StageNetwork.new(network.stack, nn.Linear, {}),
        lambda: StageNetwork.join(
            network.stack, network.head, {}, adapters=(), strategy="frozen", name="a", mixed_precision=False
        ),
    ):
        with pytest.raises(NotImplementedError):
            call()
