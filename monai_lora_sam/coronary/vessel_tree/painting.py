"""From the names of pieces to a label image."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from monai_lora_sam.coronary.vessel_tree.labelling import LabelledTree
from monai_lora_sam.coronary.vessel_tree.pieces import nearest_pieces
from monai_lora_sam.coronary.vessel_tree.pixels import check_probabilities

#: Where centrelines of several names are nearly as near as the nearest, up to this much, probability decides.
UNDECIDED_PX = 5.0


def paint_segments(
    labelled: LabelledTree, mask: np.ndarray, class_probability: np.ndarray | None = None
) -> np.ndarray:
    """Give each pixel of a mask the ARCADE category id of the piece whose centreline is nearest.

    A wide vessel's pixels can be nearer to the centreline of its branch than to its own, and pieces have square
    ends. With probabilities, a pixel that is nearly as far from pieces of other names gets the most probable of
    these names. Parts of the mask that no centreline runs through stay 0.

    Args:
        labelled: from `label_tree`.
        mask: (H, W) bool, the vessels.
        class_probability: (26, H, W), by which the tree was labelled; None: the nearest piece alone decides.

    Returns:
        (H, W) uint8.

    Raises:
        TypeError: the mask is not a bool array, or the probabilities are not floating point.
        ValueError: the mask is not of the tree's shape, or the probabilities are no probabilities.
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"expected the mask as a bool array, found {mask.dtype}")
    if mask.shape != labelled.tree.shape:
        raise ValueError(f"expected a mask of shape {labelled.tree.shape}, found {mask.shape}")
    nearest = nearest_pieces([piece.points_rc for piece in labelled.pieces], mask)
    # The last entry is for -1, where there is no piece.
    names = np.array([*(piece.arcade_id for piece in labelled.pieces), 0], dtype=np.uint8)
    painted = names[nearest]
    if class_probability is None:
        return painted
    check_probabilities(class_probability, mask)
    present = np.unique(names[:-1])
    near = nearest >= 0
    pixels = np.argwhere(near)
    if len(present) < 2 or not len(pixels):
        return painted
    lines = (
        np.concatenate([piece.points_rc for piece in labelled.pieces if piece.arcade_id == name])
        for name in present
    )
    distance = np.stack([cKDTree(line).query(pixels)[0] for line in lines])
    undecided = distance <= distance.min(axis=0) + UNDECIDED_PX
    painted[near] = present[np.where(undecided, class_probability[present][:, near], -1.0).argmax(axis=0)]
    return painted
