"""Metrics of reasoning segmentation: gIoU and cIoU of masks, marks and exact matches of answers."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

#: Value of a pixel of the truth that does not count.
IGNORE = 255


class ReasoningIoUMetric(CumulativeIterationMetric):
    """Accumulate ReasonSeg's intersection over union (Lai et al., CVPR 2024).

    ``giou`` is the mean of each mask's intersection over union, 1 for an empty prediction of an empty truth; ``ciou``
    is the sum of all intersections over the sum of all unions, 1 where nothing was to be found and nothing was.

    Args:
        score: one of the two.

    Shapes:
        y_pred (B, 1, H, W), 0 and 1; y (B, 1, H, W), 0, 1 and 255 for pixels that do not count; B may be 0.

    Raises:
        ValueError: an unknown score, or masks of other shapes or values.

    Example:
        >>> metric = ReasoningIoUMetric("giou")
        >>> _ = metric(torch.tensor([[[[1, 0]]], [[[0, 0]]]]), torch.tensor([[[[1, 1]]], [[[0, 0]]]]))
        >>> float(metric.aggregate())
        0.75
    """

    def __init__(self, score: str) -> None:
        super().__init__()
        if score not in ("giou", "ciou"):
            raise ValueError(f"score: expected 'giou' or 'ciou', found {score!r}")
        self.score = score

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if y is None or y_pred.shape != y.shape or y.ndim != 4 or y.shape[1] != 1:
            raise ValueError(
                f"expected masks of one shape (B, 1, H, W), found {tuple(y_pred.shape)} and "
                f"{None if y is None else tuple(y.shape)}"
            )
        for name, mask, values in (("y_pred", y_pred, (0, 1)), ("y", y, (0, 1, IGNORE))):
            if not torch.isin(mask, torch.tensor(values, device=mask.device, dtype=mask.dtype)).all():
                raise ValueError(f"{name}: expected the values {values}, found others")
        if not len(y):
            return torch.full((1, 2), torch.nan, dtype=torch.float64)  # MONAI's buffers take no empty batch
        counts = y != IGNORE
        found, true = (y_pred == 1) & counts, (y == 1) & counts
        both, either = (found & true).sum((1, 2, 3)), (found | true).sum((1, 2, 3))
        return torch.stack([both, either], dim=1).double()

    def aggregate(self) -> Tensor:  # type: ignore[override]
        """Return the score of all masks so far."""
        data = self.get_buffer()
        if not isinstance(data, Tensor):
            raise ValueError("expected at least one mask, found none")
        data = data[~data.isnan().any(1)]
        if self.score == "ciou":
            data = data.sum(0, keepdim=True)
        both, either = data.unbind(1)
        return torch.where(either > 0, both / either.clamp_min(1), 1.0).mean()


class AnswerMetric(CumulativeIterationMetric):
    """Accumulate how often answers are as they should be.

    ``mark_accuracy``: the mark of a mask is said exactly where there is something to show. ``exact_match``: the answer
    is the expected one, token by token.

    Args:
        score: one of the two.
        mark: the token that stands for a mask.

    Shapes:
        y_pred, y: (B, T), token ids, filled up with -1.

    Raises:
        ValueError: an unknown score, or ids of other shapes.

    Example:
        >>> metric = AnswerMetric("mark_accuracy", mark=9)
        >>> _ = metric(torch.tensor([[1, 9], [1, 2]]), torch.tensor([[4, 9], [1, 9]]))
        >>> float(metric.aggregate())
        0.5
    """

    def __init__(self, score: str, mark: int) -> None:
        super().__init__()
        if score not in ("mark_accuracy", "exact_match"):
            raise ValueError(f"score: expected 'mark_accuracy' or 'exact_match', found {score!r}")
        self.score, self.mark = score, mark

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if y is None or y_pred.shape != y.shape or y.ndim != 2:
            raise ValueError(
                f"expected token ids of one shape (B, T), found {tuple(y_pred.shape)} and "
                f"{None if y is None else tuple(y.shape)}"
            )
        if self.score == "exact_match":
            right = (y_pred == y).all(1)
        else:
            right = (y_pred == self.mark).any(1) == (y == self.mark).any(1)
        return right.double()[:, None]

    def aggregate(self) -> Tensor:  # type: ignore[override]
        """Return the share of the answers so far."""
        data = self.get_buffer()
        if not isinstance(data, Tensor):
            raise ValueError("expected at least one answer, found none")
        return data.mean()
