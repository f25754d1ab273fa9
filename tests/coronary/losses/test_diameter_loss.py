"""The diameter network's loss: a weighted mean that unknown rows do not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.coronary.losses import DiameterLoss


def test_it_is_a_weighted_mean_of_absolute_errors():
    generator = np.random.default_rng(0)
    read, truth = generator.random((2, 2, 50)), generator.random((2, 3, 50))
    truth[:, 2] *= 10
    expected = np.average(np.abs(read[:, 0] - truth[:, 0]), weights=truth[:, 2])
    expected += 0.3 * np.abs(read[:, 1] - truth[:, 1]).mean()
    found = DiameterLoss()(torch.from_numpy(read), torch.from_numpy(truth))
    assert found.item() == pytest.approx(expected)


def test_unknown_rows_do_not_count():
    read, truth = torch.rand(1, 2, 20), torch.rand(1, 3, 20) + 1
    truth[:, 2, 10:] = 0
    loss = DiameterLoss()(read, truth)
    read[..., 10:] = 99
    assert DiameterLoss()(read, truth) == loss
    truth[:, 2] = 0
    assert DiameterLoss()(read, truth) == 0


@pytest.mark.parametrize("shape", [(1, 2, 8), (1, 3, 9), (2, 3, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected \(B, 2, L\) and \(B, 3, L\), found"):
        DiameterLoss()(torch.zeros(1, 2, 8), torch.zeros(shape))
