"""Wrap arrays as MONAI tensors."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import MetaKeys


def as_meta_tensor(array: np.ndarray, path: str) -> MetaTensor:
    """Wrap (H, W) as a channel-first (1, H, W) MetaTensor with the keys MONAI's own loader sets."""
    meta = {
        "filename_or_obj": path,
        MetaKeys.SPATIAL_SHAPE: np.array(array.shape),
        MetaKeys.ORIGINAL_CHANNEL_DIM: "no_channel",
    }
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(array))[None], meta=meta)
