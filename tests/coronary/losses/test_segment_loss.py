"""The segments' loss against torch and MONAI alone, and bad input."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from monai_lora_sam.coronary.losses import SegmentLoss


def _batch(classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, classes, 16, 16), torch.randint(0, classes, (2, 1, 16, 16), dtype=torch.uint8)


def test_equals_torchs_weighted_cross_entropy_without_dice():
    logits, label = _batch()
    weights = [0.1, 1.0, 2.0, 3.0]
    expected = nn.CrossEntropyLoss(torch.tensor(weights))(logits[..., ::2, ::2], label[:, 0, ::2, ::2].long())
    torch.testing.assert_close(SegmentLoss(weights, dice_weight=0.0)(logits, label), expected)


def test_equals_monais_dice_and_cross_entropy_when_every_class_is_there():
    logits, label = _batch()
    peer = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    expected = peer(logits[..., ::2, ::2], label[..., ::2, ::2].long())
    torch.testing.assert_close(SegmentLoss()(logits, label), expected)


def test_a_class_that_is_nowhere_adds_no_dice():
    logits, label = _batch()
    label[label == 3] = 0
    without = SegmentLoss(dice_weight=1.0)(logits, label) - SegmentLoss(dice_weight=0.0)(logits, label)
    probabilities = logits[..., ::2, ::2].softmax(1)[:, 1:3]
    truth = torch.cat([(label[..., ::2, ::2] == c) for c in (1, 2)], dim=1).float()
    overlap = (probabilities * truth).sum((0, 2, 3))
    dice = 1 - (2 * overlap + 1e-5) / (probabilities.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1e-5)
    torch.testing.assert_close(without, dice.mean())


def test_an_image_without_segments_gives_a_finite_loss():
    loss = SegmentLoss()(torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    torch.testing.assert_close(loss, torch.tensor(4.0).log())


@pytest.mark.parametrize(
    ("logits", "label", "weights", "expected"),
    [
        (torch.zeros(1, 4, 8, 8), torch.full((1, 1, 8, 8), 4), None, "classes 0 to 3.*found 4 to 4"),
        (torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8), None, r"found \(1, 4, 8, 8\) and \(1, 8, 8\)"),
        (torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8), [1.0], "expected 4 class weights, found 1"),
    ],
)
def test_bad_input(logits, label, weights, expected):
    with pytest.raises(ValueError, match=expected):
        SegmentLoss(weights)(logits, label)


def test_bad_weights():
    with pytest.raises(ValueError, match="finite numbers from 0 on"):
        SegmentLoss([1.0, float("nan")])
