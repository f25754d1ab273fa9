"""The segment classifier's probabilities: checked, and turned into labels pixel by pixel."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES


def label_pixels(class_probability: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give each pixel of a mask its most probable class, without regard to anatomy.

    Args:
        class_probability: (26, H, W) of ARCADE's categories, 0 = no segment; 0 to 1.
        mask: (H, W) bool, the vessels.

    Returns:
        (H, W) uint8, ARCADE category ids.

    Raises:
        TypeError: the mask is not a bool array, or the probabilities are not floating point.
        ValueError: shapes that do not fit each other, or values outside 0 to 1, NaN included.
    """
    check_probabilities(class_probability, mask)
    return np.where(mask, class_probability.argmax(axis=0), 0).astype(np.uint8)


def check_probabilities(class_probability: np.ndarray, mask: np.ndarray) -> None:
    """Raise unless the probabilities are (26, H, W) from 0 to 1 and the mask is (H, W) bool."""
    if mask.dtype != np.bool_:
        raise TypeError(f"expected the mask as a bool array, found {mask.dtype}")
    if not np.issubdtype(class_probability.dtype, np.floating):
        raise TypeError(f"expected floating-point probabilities, found {class_probability.dtype}")
    expected = (len(ARCADE_CLASS_NAMES), *mask.shape)
    if class_probability.shape != expected or mask.ndim != 2:
        raise ValueError(f"expected class probabilities of shape {expected}, found {class_probability.shape}")
    low, high = class_probability.min(initial=0.0), class_probability.max(initial=0.0)
    if not (low >= 0.0 and high <= 1.0 + 1e-3):  # NaN fails both
        raise ValueError(f"expected probabilities from 0 to 1, found values from {low} to {high}")
