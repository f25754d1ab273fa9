"""Scores of a student against its teacher."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.distillation import DistilledBatch, both_masks, unexplained_share


def test_scores_leave_the_padding_out():
    teacher = torch.tensor([1.0, -1, 1, -1]).reshape(1, 1, 2, 2).repeat(1, 1, 1, 2)
    student = teacher.clone()
    student[..., 2:] = 9  # right of the image
    valid = torch.zeros(1, 1, 8, 16)
    valid[..., :8] = 1
    batch = DistilledBatch(student, teacher, student[:, :, None], teacher[:, :, None], valid)
    assert unexplained_share({"pred": batch}) == 0
    found, truth = both_masks({"pred": batch})
    assert torch.equal(found, truth) and truth.tolist() == [[[[1, 0, 0, 0], [1, 0, 0, 0]]]]


def test_the_mean_explains_nothing():
    teacher = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mean = teacher.mean((2, 3), keepdim=True).expand_as(teacher)
    batch = DistilledBatch(mean, teacher, None, None, torch.ones(1, 1, 8, 8))
    assert unexplained_share({"pred": batch}) == pytest.approx(1)
