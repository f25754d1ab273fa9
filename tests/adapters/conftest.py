"""Small encoders with trained-looking adapters, shared by the tests of the room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers.models.sam.configuration_sam import SamVisionConfig

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.encoders import ImageEncoder, build_encoder
from monai_lora_sam.encoders.sam import SamEncoder


def _sam3() -> ImageEncoder:
    return build_encoder("tiny", image_size=56)


def _sam() -> ImageEncoder:
    config = SamVisionConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=64,
        output_channels=16,
        window_size=3,
        global_attn_indexes=[2],
        mlp_dim=64,
        initializer_range=0.1,
    )
    encoder = SamEncoder(config, "sam_vit_b")
    encoder.renew_fingerprint()
    return encoder.eval()


@pytest.fixture
def make_encoder() -> Callable[..., ImageEncoder]:
    """Build a small encoder; the same family and seed give the same weights."""

    def make(family: str = "sam3", seed: int = 0) -> ImageEncoder:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return {"sam3": _sam3, "sam": _sam}[family]()

    return make


@pytest.fixture
def image() -> Callable[[str], torch.Tensor]:
    """Make a batch of two images that fits a family's small encoder."""

    def make(family: str = "sam3") -> torch.Tensor:
        side = {"sam3": 56, "sam": 64}[family]
        return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))

    return make


@pytest.fixture
def features() -> Callable[..., list[torch.Tensor]]:
    """Run something without gradients and return its feature maps."""

    def run(module: torch.nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad():
            return [level.clone() for level in module(image)]

    return run


@pytest.fixture
def same() -> Callable[..., bool]:
    """Tell whether two lists of feature maps are equal bit for bit."""
    return lambda first, second: all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def train_steps() -> Callable[..., set[str]]:
    """Train a stack for a few steps in training mode; return the names of the parameters that moved."""

    def train(stack: AdapterStack, image: torch.Tensor, steps: int = 2, rate: float = 0.01) -> set[str]:
        before = {name: parameter.detach().clone() for name, parameter in stack.named_parameters()}
        trainable = [parameter for parameter in stack.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(trainable, lr=rate) if trainable else None
        stack.train()
        for _ in range(steps):
            loss = torch.stack([level.square().mean() for level in stack(image)]).sum()
            if optimiser is not None:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        stack.eval()
        after = dict(stack.named_parameters())
        return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}

    return train


@pytest.fixture
def trained_pair(make_encoder, image, train_steps) -> AdapterStack:
    """Give a stack with ``vessels`` trained alone and then ``segments`` trained on top of it."""
    stack = AdapterStack(make_encoder())
    for name, targets in (("vessels", "qv"), ("segments", "all")):
        with torch.random.fork_rng():
            torch.manual_seed(2)
            stack.add(name, r=4, targets=targets)
        stack.train_only(name)
        train_steps(stack, image())
    return stack
