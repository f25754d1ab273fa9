"""Metrics of found and measured lesions: F1, average precision, error of %DS and MLD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric

from monai_lora_sam.coronary.boxes import box_centre, check_box
from monai_lora_sam.coronary.metrics.lesion_matching import (
    average_precision,
    match_by_distance,
    match_by_iou,
    ranked_hits,
)
from monai_lora_sam.metrics import Agreement, agreement

Lesion = Mapping[str, Any]

#: Columns of a lesion as a row of numbers: score, box, centre, %DS, MLD; NaN where unknown.
_COLUMNS = 9


@dataclass(frozen=True)
class DetectionScore:
    """Hold the counts of a one-to-one matching, pooled over all images."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Share of the predictions that are true; NaN without a prediction."""
        predicted = self.true_positives + self.false_positives
        return self.true_positives / predicted if predicted else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true lesions that are found; NaN without a true lesion."""
        true = self.true_positives + self.false_negatives
        return self.true_positives / true if true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN with neither prediction nor true lesion."""
        both = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / both if both else float("nan")


@dataclass(frozen=True)
class LesionScores:
    """Hold the scores of `score_lesions`.

    Attributes:
        iou: detection, matched by intersection over union.
        distance: detection, matched by the centres' distance.
        average_precision: COCO's, at the same intersection over union, over predictions of any score.
        percent_diameter_stenosis: agreement of %DS over the pairs of `distance`, in points.
        mld_px: agreement of the minimum lumen diameter over the pairs of `distance`, in pixels.
    """

    iou: DetectionScore
    distance: DetectionScore
    average_precision: float
    percent_diameter_stenosis: Agreement
    mld_px: Agreement

    def as_dict(self) -> dict[str, float]:
        """Return all figures by name, such as `f1_iou` and `percent_diameter_stenosis_bias`."""
        figures = {
            f"{name}_{rule}": getattr(getattr(self, rule), name)
            for rule in ("iou", "distance")
            for name in ("f1", "precision", "recall")
        }
        figures["average_precision"] = self.average_precision
        for quantity in ("percent_diameter_stenosis", "mld_px"):
            for name, value in vars(getattr(self, quantity)).items():
                figures[f"{quantity}_{name}"] = float(value)
        return figures


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _lesion_row(lesion: Lesion, name: str) -> list[float]:
    """Turn a lesion into numbers; the box's centre stands for a missing centre."""
    box = check_box(lesion.get("box_xyxy"), name)
    centre = lesion.get("centre_xy")
    x, y = box_centre(box) if centre is None else (float(centre[0]), float(centre[1]))
    score = float(lesion.get("score", 1.0))
    if not np.isfinite([x, y, score]).all():
        raise ValueError(f"{name}: expected a finite centre_xy and score, found {[x, y]} and {score}")
    stenosis, diameter = (_number(lesion.get(key)) for key in ("percent_diameter_stenosis", "mld_px"))
    return [score, *box, x, y, stenosis, diameter]


def _lesion_table(lesions: Sequence[Lesion], name: str) -> np.ndarray:
    rows = [_lesion_row(lesion, f"{name} lesion {index}") for index, lesion in enumerate(lesions)]
    return np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS)


def _detection(predicted: int, true: int, found: int) -> DetectionScore:
    return DetectionScore(found, predicted - found, true - found)


def _score_tables(
    images: Sequence[tuple[np.ndarray, np.ndarray]],
    minimum_score: float,
    iou_threshold: float,
    centre_distance_px: float,
) -> LesionScores:
    predicted_count = true_count = found_by_iou = found_by_distance = 0
    scores: list[float] = []
    hits: list[bool] = []
    pairs = [np.empty((0, 2, 2))]
    for every_prediction, true in images:
        scores.extend(every_prediction[:, 0])
        hits.extend(
            ranked_hits(every_prediction[:, 0], every_prediction[:, 1:5], true[:, 1:5], iou_threshold)
        )
        predicted = every_prediction[every_prediction[:, 0] >= minimum_score]
        predicted_count += len(predicted)
        true_count += len(true)
        found_by_iou += len(match_by_iou(predicted[:, 1:5], true[:, 1:5], iou_threshold))
        near = match_by_distance(predicted[:, 5:7], true[:, 5:7], centre_distance_px)
        found_by_distance += len(near)
        pairs.extend(np.stack([predicted[p, 7:], true[t, 7:]])[None] for p, t in near)
    measured, reference = np.concatenate(pairs).transpose(1, 2, 0)
    return LesionScores(
        iou=_detection(predicted_count, true_count, found_by_iou),
        distance=_detection(predicted_count, true_count, found_by_distance),
        average_precision=average_precision(scores, hits, true_count),
        percent_diameter_stenosis=agreement(list(measured[0]), list(reference[0])),
        mld_px=agreement(list(measured[1]), list(reference[1])),
    )


def _tables(
    predictions: Sequence[Sequence[Lesion]], truths: Sequence[Sequence[Lesion]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    if len(predictions) != len(truths):
        raise ValueError(
            "expected lists of lesions for the same images, "
            f"found {len(predictions)} predicted and {len(truths)} true"
        )
    return [
        (_lesion_table(predicted, f"image {index}, predicted"), _lesion_table(true, f"image {index}, true"))
        for index, (predicted, true) in enumerate(zip(predictions, truths, strict=True))
    ]


def score_lesions(
    predictions: Sequence[Sequence[Lesion]],
    truths: Sequence[Sequence[Lesion]],
    minimum_score: float = 0.5,
    iou_threshold: float = 0.5,
    centre_distance_px: float = 20.0,
) -> LesionScores:
    """Score lesions, pooled over all images.

    A lesion is a dict with `box_xyxy` and, where known, `centre_xy` (else the box's), `percent_diameter_stenosis`
    and `mld_px`; a predicted one also has its `score` (1 if left out). Matching is one to one.

    Args:
        predictions: for each image its predicted lesions.
        truths: for each image its true lesions.
        minimum_score: predictions below count for average precision alone.
        iou_threshold: smallest intersection over union of boxes that match.
        centre_distance_px: largest distance of centres that match, in pixels; for a fraction of the image's
            side give the product.

    Raises:
        ValueError: different numbers of images, a box without area, a coordinate or score that is not finite.

    Example:
        >>> true = {"box_xyxy": [10, 10, 30, 30], "percent_diameter_stenosis": 50.0}
        >>> found = {"box_xyxy": [10, 10, 30, 28], "percent_diameter_stenosis": 58.0, "score": 0.9}
        >>> scores = score_lesions([[found]], [[true]])
        >>> scores.iou.f1, scores.percent_diameter_stenosis.bias
        (1.0, 8.0)
    """
    return _score_tables(_tables(predictions, truths), minimum_score, iou_threshold, centre_distance_px)


class LesionMetric(CumulativeIterationMetric):
    """Accumulate lesions of a data set and score them as `score_lesions` does.

    Call it with a list of lesions for each image of the batch, not with tensors.

    Args:
        key: the figure of `LesionScores.as_dict` that `aggregate` returns; `scores` returns all.
        minimum_score, iou_threshold, centre_distance_px: see `score_lesions`.

    Example:
        >>> metric = LesionMetric(key="f1_iou")
        >>> metric(y_pred=[[{"box_xyxy": [10, 10, 30, 28], "score": 0.9}]], y=[[{"box_xyxy": [10, 10, 30, 30]}]])
        >>> metric.aggregate()
        tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        key: str = "f1_iou",
        minimum_score: float = 0.5,
        iou_threshold: float = 0.5,
        centre_distance_px: float = 20.0,
    ) -> None:
        super().__init__()
        self.settings = (minimum_score, iou_threshold, centre_distance_px)
        names = sorted(_score_tables([], *self.settings).as_dict())
        if key not in names:
            raise ValueError(f"key: expected one of {names}, found {key!r}")
        self.key = key

    def __call__(self, y_pred: Any, y: Any = None, **kwargs: Any) -> Any:
        """Add the predicted and true lesions of a batch of images."""
        if y is None:
            raise ValueError("expected y, the true lesions of each image, found None")
        # Buffers hold tensors of one width, also between processes: a row is a lesion, preceded by its kind,
        # and a row that is neither predicted (1) nor true (2) begins an image.
        for tables in _tables(y_pred, y):
            begin = np.zeros((1, 1 + _COLUMNS))
            rows = [np.insert(table, 0, kind, axis=1) for kind, table in enumerate(tables, start=1)]
            self.extend(torch.from_numpy(np.concatenate([begin, *rows])))

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> Any:
        raise TypeError("expected lists of lesions, found tensors")

    def scores(self) -> LesionScores:
        """Return all scores of the accumulated lesions."""
        data = self.get_buffer()
        if not isinstance(data, torch.Tensor):
            raise ValueError("expected at least one image, found none")
        rows = data.cpu().numpy()
        images = np.split(rows, np.flatnonzero(rows[:, 0] == 0)[1:])
        tables = [(image[image[:, 0] == 1, 1:], image[image[:, 0] == 2, 1:]) for image in images]
        return _score_tables(tables, *self.settings)

    def aggregate(self) -> torch.Tensor:
        """Return the figure named `key`."""
        return torch.tensor(self.scores().as_dict()[self.key], dtype=torch.float64)
