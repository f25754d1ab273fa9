"""Metrics of named segments for MONAI's engines, over the counts of `segment_counts`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric

from monai_lora_sam.coronary.metrics.segment_counts import (
    CLASS_COUNT,
    f1_per_class,
    macro_f1,
    segment_counts,
    segment_sets,
    set_exact_match,
    set_f1,
    vessel_accuracy,
)

_SET_SCORES = {"f1": set_f1, "exact_match": set_exact_match}


class _SegmentMetric(CumulativeIterationMetric):
    """Accumulate `segment_counts`: one (classes, 3) table for each image."""

    def __init__(self, class_count: int = CLASS_COUNT) -> None:
        super().__init__()
        self.class_count = class_count

    def _compute_tensor(
        self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        if y is None:
            raise ValueError("expected y, the true class indices, found None")
        return segment_counts(y_pred, y, self.class_count)

    def counts(self) -> torch.Tensor:
        """Return the accumulated counts (B, classes, 3) of correct, predicted and true pixels."""
        data = self.get_buffer()
        if not isinstance(data, torch.Tensor):
            raise ValueError("expected at least one prediction, found none")
        return data


class SegmentAccuracyMetric(_SegmentMetric):
    """Accumulate the share of true vessel pixels that are given their segment (see `vessel_accuracy`).

    Args:
        class_count: classes with the background.

    Example:
        >>> metric = SegmentAccuracyMetric()
        >>> metric(y_pred=[torch.tensor([[[0, 5, 6]]])], y=[torch.tensor([[[0, 5, 5]]])])
        >>> metric.aggregate()
        tensor(0.5000, dtype=torch.float64)
    """

    def aggregate(self) -> torch.Tensor:
        """Return the accuracy over all pixels of all images."""
        return vessel_accuracy(self.counts())


class SegmentMacroF1Metric(_SegmentMetric):
    """Accumulate the macro F1 of the segments' pixels (see `macro_f1`).

    Args:
        classes: average over these classes alone, such as `rare_classes`; None: over all but the background.
        class_count: classes with the background.

    Example:
        >>> metric = SegmentMacroF1Metric()
        >>> metric(y_pred=[torch.tensor([[[0, 5, 5, 5]]])], y=[torch.tensor([[[0, 5, 6, 6]]])])
        >>> metric.aggregate()  # class 5: 2 * 1 / (3 + 1), class 6: 0
        tensor(0.2500, dtype=torch.float64)
    """

    def __init__(self, classes: Collection[int] | None = None, class_count: int = CLASS_COUNT) -> None:
        super().__init__(class_count)
        self.classes = classes

    def aggregate(self) -> torch.Tensor:
        """Return the mean over the classes that are in the truth or in the prediction."""
        return macro_f1(self.counts(), self.classes)

    def per_class(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (classes,) F1, NaN where a class is nowhere, and (classes,) support in true pixels."""
        counts = self.counts()
        return f1_per_class(counts), counts[..., 2].sum(0)


class SegmentSetMetric(_SegmentMetric):
    """Accumulate the agreement of the predicted with the true set of segments, image by image.

    Args:
        score: "f1" (see `set_f1`) or "exact_match" (see `set_exact_match`).
        minimum_area_px: pixels that a segment needs, in prediction and truth alike, to be present.
        class_count: classes with the background.

    Example:
        >>> metric = SegmentSetMetric()
        >>> metric(y_pred=[torch.tensor([[[0, 5, 6]]])], y=[torch.tensor([[[0, 5, 5]]])])
        >>> metric.aggregate()  # {5, 6} against {5}
        tensor(0.6667, dtype=torch.float64)
    """

    def __init__(self, score: str = "f1", minimum_area_px: int = 1, class_count: int = CLASS_COUNT) -> None:
        super().__init__(class_count)
        if score not in _SET_SCORES:
            raise ValueError(f"score: expected one of {sorted(_SET_SCORES)}, found {score!r}")
        self.score = score
        self.minimum_area_px = minimum_area_px

    def aggregate(self) -> torch.Tensor:
        """Return the mean over images."""
        return _SET_SCORES[self.score](*segment_sets(self.counts(), self.minimum_area_px)).mean()
