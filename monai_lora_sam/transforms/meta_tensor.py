"""Wrap arrays as MONAI tensors."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import MetaKeys


def as_meta_tensor(array: np.ndarray, path: str) -> MetaTensor:
    """Wrap (H, W) or (H, W, C) as a channel-first MetaTensor (C, H, W) with the keys MONAI's own loader sets."""
    has_channels = array.ndim == 3
    meta = {
        "filename_or_obj": path,
        MetaKeys.SPATIAL_SHAPE: np.array(array.shape[:2]),
        MetaKeys.ORIGINAL_CHANNEL_DIM: -1 if has_channels else "no_channel",
    }
    channel_first = np.moveaxis(array, -1, 0) if has_channels else array[None]
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(channel_first)), meta=meta)
