from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from torch.nn.functional import binary_cross_entropy_with_logits

from monai_lora_sam.coronary.losses import VesselLoss


def _random(seed=0, shape=(3, 1, 24, 20)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator)
    return logits, (torch.rand(shape, generator=generator) > 0.6).to(torch.uint8)


def _dice_loss(probability, mask):
    """Dice loss from its formula, image by image."""
    total = 0.0
    for p, m in zip(probability, mask.float(), strict=True):
        total += 1 - (2 * (p * m).sum() + 1e-5) / (p.sum() + m.sum() + 1e-5)
    return total / len(probability)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
def test_it_is_cross_entropy_plus_dice(dtype):
    logits, mask = _random()
    expected = binary_cross_entropy_with_logits(logits, mask.float()) + _dice_loss(logits.sigmoid(), mask)
    torch.testing.assert_close(VesselLoss()(logits, mask.to(dtype)), expected)
    only_dice = VesselLoss(cross_entropy_weight=0)(logits, mask)
    torch.testing.assert_close(only_dice, _dice_loss(logits.sigmoid(), mask))


def test_certain_truth_costs_nothing_and_its_opposite_much():
    _, mask = _random()
    sure = (mask.float() * 2 - 1) * 50
    assert VesselLoss(centreline_weight=1.0)(sure, mask) < 1e-3
    assert VesselLoss(centreline_weight=1.0)(-sure, mask) > 10


def test_the_centreline_term_punishes_a_gap_more_than_as_many_pixels_at_the_rim():
    mask = torch.zeros(1, 1, 32, 64)
    mask[..., 13:18, 4:60] = 1
    gap, rim = mask.clone(), mask.clone()
    gap[..., 13:18, 30:34] = 0
    rim[..., 13, 20:40] = 0
    assert gap.sum() == rim.sum()
    plain, centreline = VesselLoss(), VesselLoss(centreline_weight=1.0)

    def extra(prediction):
        logits = (prediction * 2 - 1) * 20
        return (centreline(logits, mask) - plain(logits, mask)).item()

    torch.testing.assert_close(plain((gap * 2 - 1) * 20, mask), plain((rim * 2 - 1) * 20, mask))
    assert extra(gap) > extra(rim) + 0.01
    assert extra(mask) == pytest.approx(0, abs=1e-4)


def test_half_precision_is_computed_in_float32():
    logits, mask = _random()
    loss = VesselLoss(centreline_weight=0.5)
    half = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, mask)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), mask))


@pytest.mark.parametrize("empty", [True, False])
def test_gradients_are_finite_for_empty_and_full_masks(empty):
    logits = (torch.randn(2, 1, 16, 16) * 100).requires_grad_()
    mask = torch.zeros(2, 1, 16, 16) if empty else torch.ones(2, 1, 16, 16)
    VesselLoss(centreline_weight=1.0)(logits, mask).backward()
    assert torch.isfinite(logits.grad).all()


def test_meta_tensors_give_the_same_plain_tensor():
    logits, mask = _random()
    value = VesselLoss()(MetaTensor(logits), MetaTensor(mask))
    assert type(value) is torch.Tensor
    assert torch.equal(value, VesselLoss()(logits, mask))


def test_bad_input_is_refused():
    logits, mask = _random()
    with pytest.raises(ValueError, match=r"found \(3, 1, 24, 20\) and \(3, 24, 20\)"):
        VesselLoss()(logits, mask[:, 0])
    with pytest.raises(ValueError, match=r"one shape \(B, 1, H, W\), found \(3, 2, 24, 20\)"):
        VesselLoss()(logits.repeat(1, 2, 1, 1), mask.repeat(1, 2, 1, 1))
    with pytest.raises(ValueError, match="expected a mask of 0 and 1, found values from 0 to 255"):
        VesselLoss()(logits, mask * 255)
    with pytest.raises(ValueError, match="centreline_weight: expected 0 or more, found -1"):
        VesselLoss(centreline_weight=-1)
