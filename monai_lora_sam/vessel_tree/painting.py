"""From the names of pieces to a label image."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.vessel_tree.labelling import LabelledTree
from monai_lora_sam.vessel_tree.pieces import nearest_pieces


def paint_segments(labelled: LabelledTree, mask: np.ndarray) -> np.ndarray:
    """Give each pixel of a mask the ARCADE category id of the piece whose centreline is nearest.

    Parts of the mask that no centreline runs through stay 0.

    Args:
        labelled: from `label_tree`.
        mask: (H, W) bool, the vessels.

    Returns:
        (H, W) uint8.

    Raises:
        TypeError: the mask is not a bool array.
        ValueError: the mask is not of the tree's shape.
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"expected the mask as a bool array, found {mask.dtype}")
    if mask.shape != labelled.tree.shape:
        raise ValueError(f"expected a mask of shape {labelled.tree.shape}, found {mask.shape}")
    nearest = nearest_pieces([piece.points_rc for piece in labelled.pieces], mask)
    # The last entry is for -1, where there is no piece.
    names = np.array([*(piece.arcade_id for piece in labelled.pieces), 0], dtype=np.uint8)
    return names[nearest]
