"""Centreline Dice (clDice) of tubular structures on hard masks.

Shit et al., "clDice: a novel topology-preserving loss function for tubular structure segmentation",
CVPR 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric, do_metric_reduction
from skimage.morphology import skeletonize


def _validate(prediction: torch.Tensor, target: torch.Tensor) -> None:
    if prediction.shape != target.shape or prediction.ndim != 4:
        raise ValueError(
            "expected binary masks of one shape (B, C, H, W), "
            f"found prediction {tuple(prediction.shape)} and target {tuple(target.shape)}"
        )
    for name, mask in (("prediction", prediction), ("target", target)):
        if not torch.all((mask == 0) | (mask == 1)):
            raise ValueError(f"{name}: expected 0 and 1 only, found values from {mask.min()} to {mask.max()}")


def _update(prediction: np.ndarray, target: np.ndarray) -> tuple[int, int, int, int]:
    """Count, for one (H, W) pair, skeleton pixels inside the other mask and all skeleton pixels.

    Returns:
        predicted skeleton inside the target, predicted skeleton, true skeleton inside the
        prediction, true skeleton.
    """
    skeleton_prediction, skeleton_target = skeletonize(prediction), skeletonize(target)
    return (
        int((skeleton_prediction & target).sum()),
        int(skeleton_prediction.sum()),
        int((skeleton_target & prediction).sum()),
        int(skeleton_target.sum()),
    )


def _compute(
    prediction_hits: int, prediction_length: int, target_hits: int, target_length: int, ignore_empty: bool
) -> float:
    """Take the harmonic mean of topology precision and sensitivity.

    An empty truth is NaN when `ignore_empty`, else 1 for an empty prediction and 0 for any other.
    An empty prediction of a truth that is not empty is 0.
    """
    if target_length == 0:
        if ignore_empty:
            return float("nan")
        return 1.0 if prediction_length == 0 else 0.0
    if prediction_length == 0:
        return 0.0
    precision, sensitivity = prediction_hits / prediction_length, target_hits / target_length
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity > 0 else 0.0


def centreline_dice(
    prediction: torch.Tensor, target: torch.Tensor, ignore_empty: bool = True
) -> torch.Tensor:
    """Compute clDice for each image and channel.

    Args:
        prediction: (B, C, H, W) with 0 and 1.
        target: the same shape, 0 and 1.
        ignore_empty: give NaN for an empty target (MONAI's reductions leave NaN out); otherwise an empty
            target scores 1 for an empty prediction and 0 for any other.

    Returns:
        (B, C) float32 in 0..1.

    Raises:
        ValueError: other shapes or values.

    Example:
        >>> mask = torch.zeros(1, 1, 32, 32); mask[..., 14:17, :] = 1
        >>> centreline_dice(mask, mask)
        tensor([[1.]])
    """
    _validate(prediction, target)
    pairs = zip(prediction.bool().cpu().flatten(0, 1), target.bool().cpu().flatten(0, 1), strict=True)
    values = [_compute(*_update(p.numpy(), t.numpy()), ignore_empty) for p, t in pairs]
    return torch.tensor(values, dtype=torch.float32, device=prediction.device).reshape(prediction.shape[:2])


class CenterlineDiceMetric(CumulativeIterationMetric):
    """Accumulate clDice over a data set, as MONAI's `DiceMetric` does for Dice.

    Args:
        reduction: MONAI's reduction ("mean", "mean_batch", "none", ...).
        get_not_nans: return (value, number of values that are not NaN).
        ignore_empty: leave images with an empty target out (see `centreline_dice`).

    Example:
        >>> metric = CenterlineDiceMetric()
        >>> metric(y_pred=mask, y=mask)
        >>> metric.aggregate()
        tensor(1.)
    """

    def __init__(
        self, reduction: str = "mean", get_not_nans: bool = False, ignore_empty: bool = True
    ) -> None:
        super().__init__()
        self.reduction = reduction
        self.get_not_nans = get_not_nans
        self.ignore_empty = ignore_empty

    def _compute_tensor(
        self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        if y is None:
            raise ValueError("expected y, the true masks, found None")
        return centreline_dice(y_pred, y, self.ignore_empty)

    def aggregate(self, reduction: str | None = None) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return the accumulated scores, reduced."""
        data = self.get_buffer()
        if not isinstance(data, torch.Tensor):
            raise ValueError("expected at least one prediction, found none")
        value, count = do_metric_reduction(data, reduction or self.reduction)
        return (value, count) if self.get_not_nans else value
