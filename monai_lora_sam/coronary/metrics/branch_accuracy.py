"""Share of the vessels' length that has the right name."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from monai_lora_sam.coronary.polyline import Polyline


def branch_accuracy(centrelines_rc: Iterable[np.ndarray], predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the centrelines' length that has the truth's name, where the truth has a name.

    A thin branch counts as much as a wide branch of the same length, unlike in the accuracy over pixels. Vessels
    without a name in the truth do not count: a data set such as ARCADE does not name every visible vessel.

    Args:
        centrelines_rc: points (N, 2) along each branch, in pixels.
        predicted, truth: (H, W) class indices, 0 = no name.

    Returns:
        0 to 1; NaN where no centreline lies on a name.

    Raises:
        ValueError: the two maps differ in shape or are no maps.

    Example:
        >>> truth = np.array([[1, 1, 1, 2, 2, 0]])
        >>> round(branch_accuracy([np.array([[0.0, 0.0], [0.0, 5.0]])], np.ones_like(truth), truth), 2)
        0.56
    """
    if predicted.shape != truth.shape or truth.ndim != 2:
        raise ValueError(f"expected two maps (H, W) of one shape, found {predicted.shape} and {truth.shape}")
    named = right = 0.0
    for points_rc in centrelines_rc:
        line = Polyline(points_rc)
        # At least two samples a pixel, each in the middle of the length that it stands for.
        samples = max(1, math.ceil(2 * line.length))
        step = line.length / samples
        points = line.at((np.arange(samples) + 0.5) * step)
        row, column = np.clip(np.rint(points).astype(int), 0, np.array(truth.shape) - 1).T
        there = truth[row, column] > 0
        named += step * int(there.sum())
        right += step * int((there & (predicted[row, column] == truth[row, column])).sum())
    return right / named if named else float("nan")
