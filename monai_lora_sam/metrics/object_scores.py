"""Compare the mask of one object with the truth by MONAI's metrics."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from numpy.typing import NDArray

#: Field → name for tables. Distances are in pixels.
OBJECT_SCORES = MappingProxyType(
    {
        "dice": "Dice",
        "jaccard": "Jaccard",
        "hd_px": "HD (px)",
        "hd95_px": "HD95 (px)",
        "asd_px": "ASD (px)",
        "nsd": "NSD",
    }
)
#: Largest distance in pixels of a boundary that counts as correct in NSD.
TOLERANCE_PX = 2.0


def object_scores(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], tolerance_px: float = TOLERANCE_PX
) -> dict[str, float]:
    """Return Dice, Jaccard, Hausdorff distances, average surface distance and normalised surface Dice of one object.

    All are computed by MONAI. Distances are symmetric. An empty prediction scores 0 for Dice, Jaccard and NSD, and NaN
    for the distances, which it does not have: count it apart.

    Args:
        prediction, truth: (H, W) bool.
        tolerance_px: largest distance in pixels of boundaries that NSD counts as correct.

    Returns:
        `dice`, `jaccard`, `hd_px`, `hd95_px`, `asd_px`, `nsd`.

    Raises:
        ValueError: masks of other shapes or types, or an empty truth.

    Example:
        >>> mask = np.zeros((9, 9), bool)
        >>> mask[2:5, 1:8] = True
        >>> object_scores(mask, mask)["dice"]
        1.0
    """
    for name, mask in (("prediction", prediction), ("truth", truth)):
        if mask.ndim != 2 or mask.dtype != bool or mask.shape != truth.shape:
            raise ValueError(f"{name}: expected {truth.shape} of bool, found {mask.shape} of {mask.dtype}")
    if not truth.any():
        raise ValueError("truth: expected an object, found an empty mask")
    if not prediction.any():
        return {
            **dict.fromkeys(OBJECT_SCORES, 0.0),
            "hd_px": math.nan,
            "hd95_px": math.nan,
            "asd_px": math.nan,
        }
    found, true = (_as_channel(mask) for mask in _cropped(prediction, truth))
    scores = {
        "dice": compute_dice(found, true),
        "jaccard": compute_iou(found, true),
        "hd_px": compute_hausdorff_distance(found, true, include_background=True),
        "hd95_px": compute_hausdorff_distance(found, true, include_background=True, percentile=95),
        "asd_px": compute_average_surface_distance(found, true, include_background=True, symmetric=True),
        "nsd": compute_surface_dice(found, true, [tolerance_px], include_background=True),
    }
    return {name: float(score) for name, score in scores.items()}


def _cropped(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cut two masks to the box of both, with a border of zeros.

    The border stands for the background, and for the outside where a mask touches the image's edge: MONAI takes that
    edge for a boundary, too.
    """
    rows, columns = np.nonzero(one | other)
    window = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return np.pad(one[window], 1), np.pad(other[window], 1)


def _as_channel(mask: NDArray[np.bool_]) -> torch.Tensor:
    """Return a mask as (1, 1, H, W)."""
    return torch.from_numpy(mask)[None, None].float()
