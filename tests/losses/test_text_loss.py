"""Masks of present phrases and the presence of all."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from monai_lora_sam.losses import PromptedLoss, TextLoss


def answers(count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(count, 1, 8, 8, generator=generator) > 0.5).float()
    truth[1] = 0
    return {
        "logits": torch.randn(count, 1, 8, 8, generator=generator, requires_grad=True),
        "iou": torch.rand(count, 1, generator=generator),
        "truth": truth,
        "presence": torch.randn(count, generator=generator, requires_grad=True),
        "present": torch.tensor([1.0, 0, 1])[:count],
    }


def test_it_is_the_sum_of_its_parts():
    given = answers()
    shown = [0, 2]
    masks = PromptedLoss(0.5)(given["logits"][shown], given["iou"][shown], given["truth"][shown])
    entropy = functional.binary_cross_entropy_with_logits(given["presence"], given["present"])
    torch.testing.assert_close(TextLoss(2.0, 0.5)(**given), masks + 2 * entropy)
    torch.testing.assert_close(TextLoss(2.0, 0.5)(**given, weight=torch.ones(3)), masks + 2 * entropy)


def test_an_absent_phrase_trains_presence_alone():
    given = answers()
    given["present"] = torch.zeros(3)
    TextLoss()(**given).backward()
    assert not given["logits"].grad.any() and given["presence"].grad.all()


def test_weights_favour_their_phrases():
    given = answers()
    weight = torch.tensor([3.0, 1, 0])
    alone = PromptedLoss()(given["logits"][:1], given["iou"][:1], given["truth"][:1])
    entropy = functional.binary_cross_entropy_with_logits(given["presence"], given["present"], weight=weight)
    torch.testing.assert_close(TextLoss()(**given, weight=weight), alone + entropy)


def test_padding_does_not_count():
    given = answers()
    valid = torch.ones(3, 1, 8, 8)
    valid[..., 6:] = 0
    changed = {**given, "logits": given["logits"].detach().clone()}
    changed["logits"][..., 6:] += 5
    torch.testing.assert_close(TextLoss()(**changed, valid=valid), TextLoss()(**given, valid=valid))


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"presence and present of the shape \(3,\), found \(2,\)"):
        TextLoss()(**{**answers(), "presence": torch.zeros(2)})
    with pytest.raises(ValueError, match="presence_weight: expected 0 or more, found -1"):
        TextLoss(-1)
