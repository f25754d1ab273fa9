"""Load angiograms as MONAI tensors."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.transforms import as_meta_tensor


class LoadAngiogramd(MapTransform):
    """Load angiograms, one frame each, as (1, H, W) float32 in 0..1 with rows first.

    Missing `view` and `pixel_spacing_mm` are filled from the file: a tuple of two angles in degrees and a float, NaN
    where unknown, so that items collate into batches. See `read_angiogram` for formats, scaling and errors.

    Args:
        keys: keys of image paths. `view` and `pixel_spacing_mm` come from the first one.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> item = LoadAngiogramd(keys="image")({"image": "angiogram.png", "view": (-30.0, 20.0)})
        >>> item["image"].shape, item["view"], item["pixel_spacing_mm"]
        (torch.Size([1, 512, 512]), (-30.0, 20.0), nan)
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for index, key in enumerate(self.key_iterator(item)):
            angiogram = read_angiogram(item[key])
            item[key] = as_meta_tensor(angiogram.pixels, str(angiogram.path))
            if index > 0:
                continue
            if item.get("view") is None:
                item["view"] = angiogram.view or (math.nan, math.nan)
            if item.get("pixel_spacing_mm") is None:
                known = angiogram.pixel_spacing_mm
                item["pixel_spacing_mm"] = math.nan if known is None else known
        return item
