"""Lengths of named vessel against those that were drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_lora_sam.coronary.metrics import branch_accuracy


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0, 40.0])
def test_the_share_is_of_the_length_however_densely_a_branch_is_sampled(step):
    truth = np.zeros((60, 60), dtype=np.uint8)
    truth[10], truth[30, :20] = 5, 7
    predicted = np.where(np.arange(60) < 30, truth, 6)
    across = np.arange(0.0, 40.0 + step, step)
    lines = [np.stack([np.full_like(across, row), 9.5 + across], axis=1) for row in (10, 30, 50)]
    # Row 10: 40 px named, 20 of them right; row 30: 10 px named, all right; row 50 has no name.
    assert branch_accuracy(lines, predicted, truth) == pytest.approx(30 / 50, abs=0.02)


def test_nothing_named_gives_no_figure():
    empty = np.zeros((8, 8), dtype=np.uint8)
    assert math.isnan(branch_accuracy([np.array([[0.0, 0.0], [5.0, 5.0]])], empty, empty))
    assert math.isnan(branch_accuracy([], empty, empty + 1))
    assert math.isnan(branch_accuracy([np.array([[3.0, 3.0]])], empty, empty + 1))


def test_maps_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"of one shape, found \(8, 8\) and \(8, 9\)"):
        branch_accuracy([], np.zeros((8, 8)), np.zeros((8, 9)))
