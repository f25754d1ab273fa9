from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from monai_lora_sam.coronary.losses import VesselAndSegmentLoss, VesselLoss


def random_case(classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1 + classes, 12, 10, generator=generator)
    segments = torch.randint(0, classes, (2, 1, 12, 10), generator=generator)
    return logits, torch.cat([(segments > 0).long(), segments], dim=1).to(torch.uint8)


@pytest.mark.parametrize("weight", [0.2, 0.0, 3.0])
def test_it_is_the_vessel_loss_plus_cross_entropy_inside_named_segments(weight: float):
    logits, label = random_case()
    rows, columns = slice(None, None, 2), slice(None, None, 2)
    thinned, segments = logits[:, 1:, rows, columns], label[:, 1, rows, columns].long()
    inside = segments > 0
    expected = cross_entropy(thinned.movedim(1, -1)[inside], segments[inside])
    expected = VesselLoss()(logits[:, :1], label[:, :1]) + weight * expected
    torch.testing.assert_close(VesselAndSegmentLoss(weight)(logits, label), expected)


def test_an_image_without_named_segments_gives_the_vessel_loss_alone():
    logits, label = random_case()
    label[:, 1] = 0
    logits.requires_grad_()
    loss = VesselAndSegmentLoss()(logits, label)
    torch.testing.assert_close(loss, VesselLoss()(logits[:, :1], label[:, :1]))
    loss.backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and not logits.grad[:, 1:].any()


def test_classes_outside_named_segments_cost_nothing():
    logits, label = random_case()
    changed = torch.where((label[:, 1:] > 0).expand(-1, 4, -1, -1), logits[:, 1:], 100.0)
    changed = torch.cat([logits[:, :1], changed], dim=1)
    assert torch.equal(VesselAndSegmentLoss()(logits, label), VesselAndSegmentLoss()(changed, label))


def test_half_precision_logits_are_summed_in_float32():
    logits, label = random_case()
    assert VesselAndSegmentLoss()(logits.bfloat16(), label).dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, 1, 12, 10), (2, 12, 10)])
def test_wrong_label(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected a label \(B, 2, H, W\): vessel, segment; found shape"):
        VesselAndSegmentLoss()(random_case()[0], torch.zeros(shape))
