"""Match predicted with true lesions one to one, and rank them for average precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou


def _match(closeness: np.ndarray, allowed: np.ndarray) -> list[tuple[int, int]]:
    """Take as many allowed pairs as possible, and of those choices the closest; closeness is in 0..1."""
    if not closeness.size:
        return []
    # A further pair outweighs the largest gain in closeness.
    gain = np.where(allowed, closeness + min(closeness.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]
    ]


def intersection_over_union(predicted_xyxy: np.ndarray, true_xyxy: np.ndarray) -> np.ndarray:
    """Return (P, T) float64, the intersection over union of boxes (P, 4) with boxes (T, 4).

    Raises:
        ValueError: a box that is not finite or that has no area.
    """
    boxes = [np.asarray(box, dtype=np.float64).reshape(-1, 4) for box in (predicted_xyxy, true_xyxy)]
    for name, found in zip(("predicted", "true"), boxes, strict=True):
        wrong = ~(np.isfinite(found).all(1) & (found[:, :2] < found[:, 2:]).all(1))
        if wrong.any():
            raise ValueError(
                f"{name} box: expected finite [x0, y0, x1, y1] with x0 < x1 and y0 < y1, "
                f"found {found[wrong][0].tolist()}"
            )
    return box_iou(*(torch.from_numpy(found) for found in boxes)).numpy()


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected a number above 0 and up to 1, found {threshold}")


def match_by_iou(
    predicted_xyxy: np.ndarray, true_xyxy: np.ndarray, threshold: float = 0.5
) -> list[tuple[int, int]]:
    """Pair boxes one to one where their intersection over union reaches the threshold.

    As many pairs as possible are made, by SciPy's `linear_sum_assignment`, and of several ways the one with the
    greatest overlap is taken.

    Args:
        predicted_xyxy: (P, 4).
        true_xyxy: (T, 4).
        threshold: smallest intersection over union of a pair.

    Returns:
        pairs (index of the prediction, index of the truth).

    Raises:
        ValueError: a box that is not finite or that has no area, or a threshold outside 0..1.

    Example:
        >>> match_by_iou([[0, 0, 4, 4], [0, 0, 4, 5]], [[0, 0, 4, 5]])
        [(1, 0)]
    """
    _check_threshold(threshold)
    overlap = intersection_over_union(predicted_xyxy, true_xyxy)
    return _match(overlap, overlap >= threshold)


def match_by_distance(
    predicted_xy: np.ndarray, true_xy: np.ndarray, limit_px: float
) -> list[tuple[int, int]]:
    """Pair centres one to one where they are at most `limit_px` apart.

    As many pairs as possible are made, and of several ways the one with the shortest distances is taken.

    Args:
        predicted_xy: (P, 2).
        true_xy: (T, 2).
        limit_px: largest distance of a pair.

    Returns:
        pairs (index of the prediction, index of the truth).

    Raises:
        ValueError: a centre that is not finite, or a limit that is not above 0.

    Example:
        >>> match_by_distance([[0, 0], [9, 0]], [[10, 0]], limit_px=5)
        [(1, 0)]
    """
    if not limit_px > 0:
        raise ValueError(f"limit_px: expected a number above 0, found {limit_px}")
    centres = [np.asarray(centre, dtype=np.float64).reshape(-1, 2) for centre in (predicted_xy, true_xy)]
    for name, found in zip(("predicted", "true"), centres, strict=True):
        if not np.isfinite(found).all():
            raise ValueError(f"{name} centre: expected finite [x, y], found {found.tolist()}")
    distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2)
    return _match(np.clip(1 - distance / limit_px, 0, 1), distance <= limit_px)


def ranked_hits(
    scores: Sequence[float] | np.ndarray,
    predicted_xyxy: np.ndarray,
    true_xyxy: np.ndarray,
    threshold: float = 0.5,
) -> np.ndarray:
    """Return (P,) bool: True for each prediction of one image that is a hit by the rule of COCO's evaluation.

    In order of descending score each prediction takes the free truth that it overlaps most, if the overlap reaches
    the threshold.
    """
    _check_threshold(threshold)
    overlap = intersection_over_union(predicted_xyxy, true_xyxy)
    hits = np.zeros(len(overlap), dtype=bool)
    if overlap.shape[1]:
        for index in np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable"):
            best = int(overlap[index].argmax())
            if overlap[index, best] >= threshold:
                hits[index] = True
                overlap[:, best] = -1.0
    return hits


def average_precision(scores: Sequence[float], hits: Sequence[bool], true_count: int) -> float:
    """Return the area under the precision-recall curve, as COCO takes it (101 recall levels).

    Args:
        scores: scores of the predictions of all images.
        hits: True for each prediction that is a hit (see `ranked_hits`).
        true_count: number of true lesions in all images.

    Returns:
        0..1, NaN without a true lesion.

    Raises:
        ValueError: different lengths.

    Example:
        >>> average_precision([0.9, 0.8, 0.7], [True, False, True], true_count=2)
        0.834983498349835
    """
    if len(scores) != len(hits):
        raise ValueError(f"expected a hit for each score, found {len(scores)} scores and {len(hits)} hits")
    if not true_count:
        return float("nan")
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    found = np.cumsum(np.asarray(hits, dtype=bool)[order])
    precision = found / np.arange(1, len(found) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(found / true_count, np.linspace(0, 1, 101), side="left")
    return float(np.append(precision, 0.0)[np.minimum(index, len(precision))].mean())
