"""A random teacher and a random student, small enough for seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from monai_lora_sam.distillation import Distillation, new_distillation

#: Side of the teacher's square; the student's is 64.
SIDE = 32


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., Distillation]:
    """Return a function that builds the pair, always with the same random weights."""

    def make(seed: int = 0, **settings: Any) -> Distillation:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return new_distillation(
                **{
                    "teacher_weights": False,
                    "teacher_image_size": SIDE,
                    "student_weights": False,
                    "image_size": 64,
                    "mixed_precision": False,
                    **settings,
                }
            )

    return make


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two images in a square of 64 pixels, the second padded right, and two boxes on each."""
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    image[1, :, :, 40:] = 0
    boxes = torch.tensor([[[4.0, 4, 30, 40], [10, 20, 60, 50]], [[2, 2, 20, 30], [5, 10, 39, 60]]])
    return {"image": image, "size": torch.tensor([[64, 64], [64, 40]]), "boxes": boxes}
