"""Count the classes in the labels of a datalist and weight them for a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monai_lora_sam.images import read_label


def class_counts(entries: Sequence[Mapping[str, Any]], classes: int) -> np.ndarray:
    """Count images and pixels of each class in the label images of a split.

    Args:
        entries: entries of a datalist, each with `label`; an entry listed twice counts twice.
        classes: number of classes, background included.

    Returns:
        (2, classes) integers: images that show the class, pixels of the class.

    Raises:
        ValueError: a label holds a value that is no class; the file is named.
    """
    counts = np.zeros((2, classes), dtype=np.int64)
    known: dict[str, np.ndarray] = {}
    for entry in entries:
        path = str(entry["label"])
        if path not in known:
            known[path] = np.bincount(read_label(path, classes).ravel(), minlength=classes)
        counts[0] += known[path] > 0
        counts[1] += known[path]
    return counts


def class_weights(entries: Sequence[Mapping[str, Any]], classes: int, largest: float = 8.0) -> list[float]:
    """Return the weight of each class in a cross-entropy: the inverse root of its share of all pixels.

    Without weights a network forgets rare classes; with the full inverse rare classes flood the others. Weights are
    scaled so that a pixel's mean weight over the named classes (all but the first) is 1, and held below `largest`. A
    class that never occurs gets the largest weight that occurs.

    Args:
        entries: entries of the training split, each with `label`.
        classes: number of classes, background included.
        largest: upper limit of a weight.

    Raises:
        ValueError: no entries, no pixel of a named class, or a label with a value that is no class.

    Example:
        >>> class_weights(read_split("data/datalist.json", "training"), 26)  # doctest: +SKIP
    """
    pixels = class_counts(entries, classes)[1].astype(float)
    if not pixels[1:].sum() > 0:
        raise ValueError(
            f"class weights: expected labels that hold classes 1 to {classes - 1}, found none in {len(entries)}"
        )
    inverse_root = 1 / np.sqrt(np.maximum(pixels, 1.0))
    weights = inverse_root * pixels[1:].sum() / (inverse_root * pixels)[1:].sum()
    weights = np.minimum(weights, largest)
    weights[pixels == 0] = weights[pixels > 0].max()
    return [round(float(weight), 4) for weight in weights]
