"""The refiner's loss: MONAI's and torch's where nothing is near, and more weight near vessels and in lesions."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from monai_lora_sam.coronary.losses import RefinementLoss


def test_without_vessels_it_is_cross_entropy_and_dice():
    generator = torch.Generator().manual_seed(0)
    logits, maps = torch.randn(2, 1, 20, 20, generator=generator), torch.zeros(2, 3, 20, 20)
    maps[:, 0] = (torch.rand(2, 20, 20, generator=generator) > 0.5).float()
    label = maps[:, :1]
    expected = functional.binary_cross_entropy_with_logits(logits, label)
    expected = expected + 0.2 * DiceLoss(sigmoid=True, batch=True)(logits, label)
    torch.testing.assert_close(RefinementLoss()(logits, maps), expected)


def test_it_weighs_more_near_vessels_and_in_lesions():
    loss, maps, logits = RefinementLoss(), torch.zeros(1, 3, 40, 40), torch.zeros(1, 1, 40, 40)
    logits[..., :5, :5] = 3.0  # wrong, far from everything
    far = loss(logits, maps)
    maps[:, 2, 2, 2] = 1.0
    near = loss(logits, maps)
    maps[:, 1, :5, :5] = 1.0
    assert far < near < loss(logits, maps)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (1, 3, 8, 9), (3, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected logits \(B, 1, H, W\) and maps \(B, 3, H, W\), found"):
        RefinementLoss()(torch.zeros(1, 1, 8, 8), torch.zeros(shape))
