"""The loss against MONAI's and PyTorch's own terms, summed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from monai_lora_sam.losses import ReasoningLoss

GENERATOR = torch.Generator().manual_seed(0)
WORDS, SAID = torch.randn(5, 7, generator=GENERATOR), torch.tensor([1, 2, 3, 0, 6])
LOGITS = torch.randn(2, 1, 4, 4, generator=GENERATOR)
TRUTH = (torch.rand(2, 1, 4, 4, generator=GENERATOR) > 0.5).float()


def test_it_is_the_weighted_sum_of_three_terms():
    words = functional.cross_entropy(WORDS, SAID)
    pixels = functional.binary_cross_entropy_with_logits(LOGITS, TRUTH)
    dice = DiceLoss(sigmoid=True)(LOGITS, TRUTH)
    found = ReasoningLoss()(WORDS, SAID, LOGITS, TRUTH, torch.ones_like(TRUTH))
    assert float(found) == pytest.approx(float(words + 2 * pixels + 0.5 * dice), rel=1e-5)


def test_pixels_that_do_not_count_change_nothing():
    valid = torch.ones_like(TRUTH)
    valid[..., 2:] = 0
    moved = LOGITS.clone()
    moved[..., 2:] += 9
    found = [float(ReasoningLoss()(WORDS, SAID, one, TRUTH, valid)) for one in (LOGITS, moved)]
    assert found[0] == pytest.approx(found[1])
    cut = ReasoningLoss()(WORDS, SAID, LOGITS[..., :2], TRUTH[..., :2], torch.ones(2, 1, 4, 2))
    assert found[0] == pytest.approx(float(cut), rel=1e-5)


def test_answers_without_masks_train_the_words():
    none = torch.zeros(0, 1, 4, 4)
    found = ReasoningLoss(language_weight=3)(WORDS, SAID, none, none, none)
    assert float(found) == pytest.approx(3 * float(functional.cross_entropy(WORDS, SAID)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReasoningLoss(bce_weight=-1), "bce_weight: expected 0 or more"),
        (lambda: ReasoningLoss(dice_weight=math.nan), "dice_weight: expected 0 or more"),
        (lambda: ReasoningLoss()(WORDS, SAID[:2], LOGITS, TRUTH, TRUTH), "expected token_logits"),
        (lambda: ReasoningLoss()(WORDS, SAID, LOGITS, TRUTH[:1], TRUTH), "of one shape"),
    ],
)
def test_bad_input(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
