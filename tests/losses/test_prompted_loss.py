"""The loss of prompted masks: against PyTorch and MONAI, without padding, in its predicted IoU."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from monai_lora_sam.losses import PromptedLoss, intersection_over_union


@pytest.fixture
def answers() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 8, 6, generator=generator)
    truth = (torch.rand(3, 1, 8, 6, generator=generator) > 0.5).float()
    return logits, torch.rand(3, 1, generator=generator), truth


def test_it_is_the_sum_of_three_terms(answers):
    logits, iou, truth = answers
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    found, true = logits > 0, truth > 0
    exact = (found & true).sum((-2, -1)) / (found | true).sum((-2, -1))
    expected = entropy + DiceLoss(sigmoid=True)(logits, truth) + 0.5 * functional.mse_loss(iou, exact)
    torch.testing.assert_close(PromptedLoss(iou_weight=0.5)(logits, iou, truth), expected)


def test_padding_does_not_count(answers):
    logits, iou, truth = answers
    valid = torch.zeros_like(truth)
    valid[..., :5, :4] = 1
    expected = PromptedLoss()(logits[..., :5, :4], iou, truth[..., :5, :4])
    torch.testing.assert_close(PromptedLoss()(logits, iou, truth, valid), expected)


def test_the_predicted_iou_has_a_gradient_and_its_target_has_none(answers):
    logits, iou, truth = (tensor.requires_grad_() for tensor in answers)
    only_iou = PromptedLoss(iou_weight=1.0)(logits.detach(), iou, truth.detach())
    only_iou.backward()
    error = iou.detach() - intersection_over_union(logits, truth)
    torch.testing.assert_close(iou.grad, 2 * error / 3)


@pytest.mark.parametrize("change", ["truth", "iou", "two masks"])
def test_tensors_that_do_not_fit_are_refused(answers, change: str):
    logits, iou, truth = answers
    if change == "truth":
        truth = truth[:2]
    elif change == "iou":
        iou = iou[:, 0]
    else:
        logits, truth = logits.expand(-1, 2, -1, -1), truth.expand(-1, 2, -1, -1)
    with pytest.raises(ValueError, match=r"expected .* shape .*, found"):
        PromptedLoss()(logits, iou, truth)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="iou_weight: expected 0 or more, found -1"):
        PromptedLoss(iou_weight=-1)
