"""Read the mask of a vessel tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_lora_sam.images import read_label

#: Share of a picture that vessels never cover: in ARCADE's 500 labelled angiograms they cover at most a fifth.
MAXIMUM_SHARE = 0.5


def read_vessel_mask(path: str | Path) -> np.ndarray:
    """Read a vessel mask of 0/1 or 0/255 as (H, W) bool, rows first.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, of other values, or inverted: more than half of it is marked.
    """
    mask = read_label(path, classes=2) > 0
    share = float(mask.mean())
    if share > MAXIMUM_SHARE:
        raise ValueError(
            f"{path}: expected vessels marked on a background of 0, found {share:.0%} of the picture marked; "
            "is the mask inverted?"
        )
    return mask
