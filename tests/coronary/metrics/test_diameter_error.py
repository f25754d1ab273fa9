"""Errors of diameters: scikit-learn's mean absolute error over the rows that count."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import mean_absolute_error

from monai_lora_sam.coronary.metrics import DiameterErrorMetric


def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for rows in (30, 50):
        read, truth = (torch.rand(2, rows, generator=generator) for _ in range(2))
        truth[0, :5] = float("nan")
        found.append((read, truth))
    return found


@pytest.mark.parametrize("narrowed_below", [None, 0.5])
def test_rows_of_all_vessels_are_pooled(narrowed_below: float | None):
    metric = DiameterErrorMetric(narrowed_below)
    for read, truth in pairs():
        metric([read], [truth])
    read, truth = (torch.cat(parts, dim=1) for parts in zip(*pairs(), strict=True))
    counted = truth[0].isfinite()
    if narrowed_below is not None:
        counted &= truth[1] < narrowed_below
    expected = mean_absolute_error(truth[0][counted], read[0][counted])
    assert metric.aggregate().item() == pytest.approx(expected)


def test_a_tolerance_gives_the_share_of_rows_within_it():
    metric = DiameterErrorMetric(tolerance=0.1)
    truth = torch.ones(1, 2, 4)
    metric(truth + torch.tensor([0.0, 0.09, -0.09, 0.2]), truth)
    assert metric.aggregate() == 0.75


def test_without_any_row_it_is_nan():
    metric = DiameterErrorMetric(narrowed_below=0.5)
    assert metric.aggregate().isnan()
    metric(torch.ones(1, 2, 4), torch.ones(1, 2, 4))
    assert metric.aggregate().isnan()


def test_other_shapes_are_refused():
    with pytest.raises(
        ValueError, match=r"expected two tensors \(B, 2, L\), found \(1, 2, 4\) and \(1, 2, 5\)"
    ):
        DiameterErrorMetric()(torch.ones(1, 2, 4), torch.ones(1, 2, 5))
