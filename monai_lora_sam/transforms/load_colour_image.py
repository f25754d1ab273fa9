"""Load pictures in three channels as MONAI tensors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys

from monai_lora_sam.images import read_colour_image

#: Pixels of the shortest side that an image can have.
SHORTEST = 2


class LoadColourImaged(MapTransform):
    """Load pictures as (3, H, W) float32 in 0..1 with rows first; grey ones have three equal channels.

    Args:
        keys: keys of paths.
        allow_missing_keys: pass items that lack a key.

    Raises:
        FileNotFoundError, ValueError: see :func:`monai_lora_sam.images.read_colour_image`; an image whose side is a
            single pixel, which shows nothing.

    Example:
        >>> LoadColourImaged(keys="image")({"image": "skin.jpg"})["image"].shape  # doctest: +SKIP
        torch.Size([3, 480, 640])
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            pixels = read_colour_image(item[key]).pixels
            if min(pixels.shape[:2]) < SHORTEST:
                raise ValueError(
                    f"{item[key]}: expected sides from {SHORTEST} pixels on, found {pixels.shape[0]}x{pixels.shape[1]} "
                    "(rows x columns)"
                )
            meta = {
                "filename_or_obj": str(item[key]),
                MetaKeys.SPATIAL_SHAPE: np.array(pixels.shape[:2]),
                MetaKeys.ORIGINAL_CHANNEL_DIM: -1,
            }
            channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
            item[key] = MetaTensor(torch.from_numpy(channels_first), meta=meta)
        return item
