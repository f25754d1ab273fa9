"""Count pixels of each segment in truth, prediction and both, and score the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import torch
from monai.utils import convert_to_tensor

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES

#: Background and ARCADE's 25 segments.
CLASS_COUNT = len(ARCADE_CLASS_NAMES)


def class_index_map(labels: torch.Tensor, class_count: int, name: str) -> torch.Tensor:
    """Return (B, H, W) int64 class indices of an index map (B, 1, H, W) or a one-hot map (B, C, H, W).

    Raises:
        ValueError: another shape, a class outside 0..class_count - 1, or a map that is not one-hot.
    """
    labels = convert_to_tensor(labels, track_meta=False)  # a MetaTensor slows each operation down
    if labels.ndim != 4 or labels.shape[1] not in (1, class_count):
        raise ValueError(
            f"{name}: expected class indices (B, 1, H, W) or one-hot (B, {class_count}, H, W), "
            f"found {tuple(labels.shape)}"
        )
    if labels.shape[1] == 1:
        index = labels[:, 0]
        wrong = index[~((index >= 0) & (index < class_count) & (index == index.long()))]
        if len(wrong):
            raise ValueError(
                f"{name}: expected whole class indices from 0 to {class_count - 1}, "
                f"found {torch.unique(wrong)[:5].tolist()}"
            )
        return index.long()
    if not (torch.all((labels == 0) | (labels == 1)) and torch.all(labels.sum(1) == 1)):
        raise ValueError(f"{name}: expected one-hot maps (one 1 in each pixel, else 0), found other values")
    return labels.to(torch.uint8).argmax(1)


def segment_counts(
    prediction: torch.Tensor, target: torch.Tensor, class_count: int = CLASS_COUNT
) -> torch.Tensor:
    """Count, for each image and class, the pixels in both maps, in the prediction and in the truth.

    Args:
        prediction: class indices (B, 1, H, W), or one-hot (B, class_count, H, W).
        target: as the prediction, of the same height and width.
        class_count: classes with the background, which is class 0.

    Returns:
        (B, class_count, 3) int64: correct, predicted, true.

    Raises:
        ValueError: other shapes or classes.

    Example:
        >>> labels = torch.tensor([[[[0, 5, 6]]]])
        >>> segment_counts(labels, torch.tensor([[[[0, 5, 5]]]]))[0, 5]
        tensor([1, 1, 2])
    """
    predicted = class_index_map(prediction, class_count, "prediction")
    true = class_index_map(target, class_count, "target")
    if predicted.shape != true.shape:
        raise ValueError(
            "expected maps of one batch and size, "
            f"found prediction {tuple(prediction.shape)} and target {tuple(target.shape)}"
        )
    rows = []
    for a, b in zip(predicted.cpu().flatten(1), true.cpu().flatten(1), strict=True):
        columns = [torch.bincount(values, minlength=class_count) for values in (a[a == b], a, b)]
        rows.append(torch.stack(columns, 1))
    return torch.stack(rows)


def vessel_accuracy(counts: torch.Tensor) -> torch.Tensor:
    """Return the share of true vessel pixels that have their segment's class, over all images together.

    A vessel pixel that is predicted as background counts as wrong; NaN without a vessel pixel.

    Args:
        counts: (B, classes, 3) from `segment_counts`.
    """
    correct, _, true = counts[:, 1:].double().sum((0, 1)).unbind()
    return correct / true


def f1_per_class(counts: torch.Tensor) -> torch.Tensor:
    """Return the pixel F1 (Dice) of each class over all images together; NaN for a class that is nowhere.

    Args:
        counts: (B, classes, 3) from `segment_counts`.

    Returns:
        (classes,) float64; index 0 is the background.
    """
    correct, predicted, true = counts.double().sum(0).unbind(1)
    return 2 * correct / (predicted + true)


def macro_f1(counts: torch.Tensor, classes: Collection[int] | None = None) -> torch.Tensor:
    """Return the mean of `f1_per_class` over the segments that are in the truth or in the prediction.

    Args:
        counts: (B, classes, 3) from `segment_counts`.
        classes: the mean is over these alone, such as `rare_classes`; None: over all but the background.

    Returns:
        float64 scalar; NaN when none of the classes is there.

    Raises:
        ValueError: classes that do not exist, or the background.
    """
    chosen = sorted(range(1, counts.shape[1]) if classes is None else set(classes))
    if unknown := [number for number in chosen if not 0 < number < counts.shape[1]]:
        raise ValueError(f"classes: expected numbers from 1 to {counts.shape[1] - 1}, found {unknown}")
    return f1_per_class(counts)[chosen].nanmean()


def segment_sets(counts: torch.Tensor, minimum_area_px: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the segments of each image, predicted and true, each (B, classes - 1) bool.

    Args:
        counts: (B, classes, 3) from `segment_counts`.
        minimum_area_px: pixels that a segment needs, in prediction and truth alike, to be present.

    Raises:
        ValueError: a minimum below 1.
    """
    if minimum_area_px < 1:
        raise ValueError(f"minimum_area_px: expected at least 1, found {minimum_area_px}")
    return counts[:, 1:, 1] >= minimum_area_px, counts[:, 1:, 2] >= minimum_area_px


def set_exact_match(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return (B,) 1 where the predicted set of segments is the true one, else 0; sets as `segment_sets`'."""
    return (predicted == true).all(1).double()


def set_f1(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return (B,) the F1 of the predicted set of segments against the true one; 1 where both are empty."""
    both, size = (predicted & true).sum(1).double(), predicted.sum(1) + true.sum(1)
    return torch.where(size == 0, 1.0, 2 * both / size)


def rare_classes(
    present: Iterable[Collection[int]], share: float = 0.05, class_count: int = CLASS_COUNT
) -> list[int]:
    """Return the segments that fewer than `share` of the images have.

    Args:
        present: for each training image the classes that it has (0, the background, may be among them).
        share: the limit, between 0 and 1.
        class_count: classes with the background.

    Returns:
        class indices in ascending order, those in no image included.

    Raises:
        ValueError: no image, an unknown class, or a share outside 0..1.

    Example:
        >>> rare_classes([{1, 2}, {1}, {1, 2}], share=0.5, class_count=4)
        [3]
    """
    images = [set(classes) for classes in present]
    if not images:
        raise ValueError("expected the classes of at least one training image, found none")
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number from 0 to 1, found {share}")
    count = Counter(number for classes in images for number in classes)
    if unknown := sorted(number for number in count if not 0 <= number < class_count):
        raise ValueError(f"expected classes from 0 to {class_count - 1}, found {unknown}")
    return [number for number in range(1, class_count) if count[number] < share * len(images)]
