"""Small configurations and random weights for the tests of encoders."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import Sam3VisionConfig, SamVisionConfig


@pytest.fixture
def sam3_config() -> Callable[..., Sam3VisionConfig]:
    def make(image_size: int | tuple[int, int] = 56) -> Sam3VisionConfig:
        return Sam3VisionConfig(
            fpn_hidden_size=8,
            backbone_config={
                "model_type": "sam3_vit_model",
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "image_size": image_size,
                "pretrain_image_size": 28,
                "window_size": 2,
                "global_attn_indexes": [1],
            },
        )

    return make


@pytest.fixture
def sam_config() -> Callable[..., SamVisionConfig]:
    def make(image_size: int = 96) -> SamVisionConfig:
        return SamVisionConfig(
            hidden_size=16,
            output_channels=8,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=image_size,
            mlp_dim=24,
            window_size=4,
            global_attn_indexes=[1],
        )

    return make


@pytest.fixture
def randomise() -> Callable[[nn.Module], nn.Module]:
    """Give every parameter a value that matters (SAM starts with zeros for its positions)."""

    def fill(module: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        return module.eval()

    return fill
