"""Load pictures with their colours as MONAI tensors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.images import read_colour_image
from monai_lora_sam.transforms.meta_tensor import as_meta_tensor

#: Pixels of the shortest side that an image can have.
SHORTEST = 2


class LoadColourd(MapTransform):
    """Load pictures, one frame each, as (3, H, W) float32 in 0..1 with rows first: red, green and blue.

    Grey pictures get three equal channels, so no `GreyToThreeChannelsd` follows. See `read_colour_image` for formats,
    scaling and errors.

    Args:
        keys: keys of image paths.
        allow_missing_keys: pass items that lack a key.

    Raises:
        FileNotFoundError, ValueError: see `read_colour_image`; also an image with a side of one pixel, which shows
            nothing.

    Example:
        >>> LoadColourd(keys="image")({"image": "fundus.png"})["image"].shape
        torch.Size([3, 584, 565])
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            picture = read_colour_image(item[key])
            height, width = picture.pixels.shape[:2]
            if min(height, width) < SHORTEST:
                raise ValueError(
                    f"{item[key]}: expected sides from {SHORTEST} pixels on, found {height}x{width} (rows x columns)"
                )
            item[key] = as_meta_tensor(picture.pixels, str(picture.path))
        return item
