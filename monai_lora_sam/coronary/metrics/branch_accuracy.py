"""How much of the vessels' length has the right name."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def branch_accuracy(centrelines_rc: Iterable[np.ndarray], predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the centrelines' length, where the truth has a name, that is named like it.

    Unlike the accuracy over pixels it counts a thin branch as much as a wide one of the same length. What the
    truth leaves unnamed does not count, for a data set such as ARCADE does not name every vessel that is seen.

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
    for line in centrelines_rc:
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
        # At least two samples a pixel, each in the middle of the length that it stands for.
        parts = np.maximum(1, np.ceil(2 * steps)).astype(int)
        start = np.repeat(np.arange(len(parts)), parts)
        along = (np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts) + 0.5) / parts[start]
        points = line[start] + along[:, None] * (line[start + 1] - line[start])
        length = steps[start] / parts[start]
        row, column = np.clip(np.rint(points).astype(int), 0, np.array(truth.shape) - 1).T
        there = truth[row, column] > 0
        named += float(length[there].sum())
        right += float(length[there & (predicted[row, column] == truth[row, column])].sum())
    return right / named if named else float("nan")
