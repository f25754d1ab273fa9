"""Errors of diameters along vessels, as a MONAI metric."""

from __future__ import annotations

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor


class DiameterErrorMetric(CumulativeIterationMetric):
    """Score diameters along vessels: their mean absolute error, or the share of rows within a tolerance.

    Rows of all vessels are pooled; rows without a known diameter do not count.

    Args:
        narrowed_below: count only rows whose diameter over reference is below this; None counts all.
        tolerance: return the share of rows with an error up to this; None returns the mean error.

    Shapes:
        y_pred (B, 2, L): diameter and offset. y (B, 2, L): diameter, NaN where unknown, and diameter over reference.

    Raises:
        ValueError: other shapes.

    Example:
        >>> metric = DiameterErrorMetric()
        >>> _ = metric(torch.ones(1, 2, 4), torch.full((1, 2, 4), 0.5))
        >>> metric.aggregate()
        tensor(0.5000)
    """

    def __init__(self, narrowed_below: float | None = None, tolerance: float | None = None) -> None:
        super().__init__()
        self.narrowed_below, self.tolerance = narrowed_below, tolerance

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: object) -> Tensor:
        if y is None or y.ndim != 3 or y.shape[1] != 2 or y_pred.shape != y.shape:
            found = None if y is None else tuple(y.shape)
            raise ValueError(f"expected two tensors (B, 2, L), found {tuple(y_pred.shape)} and {found}")
        counted = y[:, 0].isfinite()
        if self.narrowed_below is not None:
            counted &= y[:, 1] < self.narrowed_below
        error = (y_pred[:, 0] - y[:, 0]).abs()
        score = error if self.tolerance is None else (error <= self.tolerance).float()
        return torch.stack([score.where(counted, 0).sum(dim=1), counted.sum(dim=1)], dim=1)

    def aggregate(self) -> Tensor:
        """Return the mean error or the share; NaN without any row."""
        sums = self.get_buffer()
        if sums is None:
            return torch.tensor(float("nan"))
        total, count = sums.sum(dim=0)
        return total / count
