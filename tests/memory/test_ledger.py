"""The ledger against sums done by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from monai_lora_sam.memory.fake_network import Linear4bit, make_fake
from monai_lora_sam.memory.ledger import Ledger, kept_for_backward

BATCH = 37


def _history(network: nn.Module, shape: tuple[int, ...]):
    ledger = Ledger()
    with FakeTensorMode(), ledger, kept_for_backward(ledger):
        make_fake(network)
        ledger.assign(((p, 1) for p in network.parameters()), "weights")
        network(torch.empty(BATCH, *shape)).sum().backward()
        ledger.assign([(p.grad, 1) for p in network.parameters() if p.grad is not None], "gradients")
    return ledger.history(BATCH, True, "cuda")


def test_a_linear_layer_holds_weights_input_output_and_gradients():
    history = _history(nn.Linear(256, 512, device="meta"), (256,))
    parts = history.peak(1000)
    weights = 4 * (256 * 512 + 512)
    assert parts["weights"] == weights
    assert parts["activations"] == 4 * 1000 * 256
    # The output is gone when the weight's gradient is made from its gradient, expanded from one number.
    total = sum(parts.values())
    assert weights + 4 * 1000 * (256 + 512) <= total <= weights * 2 + 4 * 1000 * (256 + 2 * 512) + 4096
    assert history.flops == 2 * 256 * 512 * 2  # forward and the weight's gradient; the input has none


def test_a_convolution_keeps_its_input_for_the_weights_gradient():
    history = _history(nn.Conv2d(8, 16, 3, padding=1, bias=False, device="meta"), (8, 32, 32))
    assert history.peak(64)["activations"] == 4 * 64 * 8 * 32 * 32


def test_frozen_parameters_have_no_gradients():
    network = nn.Sequential(
        nn.Linear(64, 64, device="meta").requires_grad_(False), nn.Linear(64, 64, device="meta")
    )
    history = _history(network, (64,))
    gradients = history.parts == "gradients"
    assert history.fixed[gradients].sum() == 4 * (64 * 64 + 64)
    assert history.peak(8)["weights"] == 2 * (4 * 64 * 64 + 512)  # a bias takes a whole piece


def test_memory_grows_with_the_batch_and_weights_do_not():
    history = _history(nn.Linear(256, 256, device="meta"), (256,))
    small, large = history.peak(100), history.peak(200)
    assert small["weights"] == large["weights"]
    assert large["activations"] == 2 * small["activations"]


def test_sizes_are_rounded_as_the_allocator_does():
    history = _history(nn.Linear(1, 1, device="meta"), (1,))
    assert history.peak(1)["weights"] == 2 * 512


@pytest.mark.parametrize("outputs", [64, 100])
def test_a_4bit_layer_holds_an_eighth(outputs):
    layer = Linear4bit(nn.Linear(256, outputs, device="meta"))
    held = layer.weight.numel() * layer.weight.element_size()
    assert held == pytest.approx(256 * outputs / 2 * (1 + 2 / 64), abs=2048)
