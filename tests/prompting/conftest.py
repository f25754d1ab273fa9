"""A promptable network whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from monai_lora_sam.networks import ImageEmbedding, PromptedMasks, check_prompts


class BoxFiller(nn.Module):
    """Answer a box with the box itself, and points with a square of three pixels around the first."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = SimpleNamespace(
            encoder=SimpleNamespace(
                name="filler", own_range=True, pixel_mean=(0, 0, 0), pixel_std=(1, 1, 1), image_size=64
            )
        )
        self.weight = nn.Parameter(torch.zeros(1))
        self.encoded = 0
        self.multimask: list[bool] = []

    def encode(self, image: Tensor) -> ImageEmbedding:
        self.encoded += 1
        return ImageEmbedding(image, (image.shape[-2], image.shape[-1]))

    def decode(self, embedding: ImageEmbedding, multimask: bool = False, **prompts: Any) -> PromptedMasks:
        height, width = embedding.size
        check_prompts(1, height, width, **prompts)
        self.multimask.append(multimask)
        logits = torch.full((1, 1, 1, height, width), -1.0)
        if "boxes" in prompts:
            x0, y0, x1, y1 = prompts["boxes"][0, 0].int().tolist()
        else:
            x, y = prompts["points"][0, 0, 0].int().tolist()
            x0, y0, x1, y1 = x - 1, y - 1, x + 2, y + 2
        logits[..., y0:y1, x0:x1] = 1
        return PromptedMasks(logits, torch.tensor([[[0.75]]]))


@pytest.fixture
def network() -> BoxFiller:
    return BoxFiller()
