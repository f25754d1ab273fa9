"""Scale an image of any shape into the encoder's square, and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, Resize, SpatialPad
from monai.utils import ensure_tuple_rep


class ResizeLongestSided(MapTransform, InvertibleTransform):
    """Scale the longer side to `size` and pad the shorter one at its end with zeros.

    MONAI's `Resize(size_mode="longest")` and `SpatialPad(method="end")` do the work and invert it, so `Invertd`
    brings a network's output back to the image's own size. Images that shrink under an interpolating mode are
    smoothed first (MONAI's `anti_aliasing`, whose zeros outside the frame darken the outermost pixels of images that
    shrink much).

    Args:
        keys: keys of (C, H, W) tensors.
        size: side of the square in pixels.
        mode: interpolation for each key: "bilinear" for images, "nearest" for labels. "nearest" means torch's
            "nearest-exact": torch's plain "nearest" takes the pixel to the upper left and moves labels by up to
            half a pixel against their image. Invert with `nearest_interp=False` for the same reason.
        size_key: key for the height and width (2,) of the first key's tensor before padding; None leaves them out.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> ResizeLongestSided(keys="image", size=504)({"image": torch.rand(1, 300, 200)})["image"].shape
        torch.Size([1, 504, 504])
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        mode: str | tuple[str, ...] | list[str] = "bilinear",
        size_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if size < 1:
            raise ValueError(f"size: expected a positive number of pixels, found {size}")
        self.size = size
        self.size_key = size_key
        self.mode = tuple(
            "nearest-exact" if name == "nearest" else name for name in ensure_tuple_rep(mode, len(self.keys))
        )
        self.resize = Resize(spatial_size=size, size_mode="longest")
        self.pad = SpatialPad(spatial_size=(size, size), method="end")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key, mode in self.key_iterator(item, self.mode):
            smooth = "nearest" not in mode and max(item[key].shape[-2:]) > self.size
            scaled = self.resize(item[key], mode=mode, anti_aliasing=smooth)
            if self.size_key is not None and key == self.keys[0]:
                item[self.size_key] = torch.tensor(scaled.shape[-2:])
            item[key] = self.pad(scaled)
        return item

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.resize.inverse(self.pad.inverse(item[key]))
        return item
