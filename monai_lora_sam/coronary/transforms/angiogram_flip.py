"""Mirror angiograms together with their view angles."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import Flip, InvertibleTransform, MapTransform


def flip_view(view: Any, horizontal: bool, vertical: bool) -> Any:
    """Negate the primary angle for a horizontal flip and the secondary for a vertical one.

    Tuples stay tuples, tensors (2,) tensors; NaN and None (unknown) stay unknown.
    """
    if view is None:
        return None
    signs = (-1.0 if horizontal else 1.0, -1.0 if vertical else 1.0)
    if isinstance(view, torch.Tensor):
        return view * torch.tensor(signs, dtype=view.dtype, device=view.device)
    return tuple(None if angle is None else angle * sign for angle, sign in zip(view, signs, strict=True))


class AngiogramFlipd(MapTransform, InvertibleTransform):
    """Flip images left to right and top to bottom, and their view angles with them.

    Flipped left to right, an LAO view looks like the RAO view of a mirrored patient: the primary angle changes its
    sign. Flipped top to bottom, cranial becomes caudal. The flipped image shows a mirrored heart, which is good
    enough to learn vessels from.

    Args:
        keys: keys of (C, H, W) tensors.
        horizontal: mirror left to right.
        vertical: mirror top to bottom.
        view_key: key of the view angles; it may be missing or None.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> item = {"image": torch.rand(1, 8, 8), "view": (30.0, -20.0)}
        >>> AngiogramFlipd(keys="image", horizontal=True)(item)["view"]
        (-30.0, -20.0)
    """

    def __init__(
        self,
        keys: KeysCollection,
        horizontal: bool = False,
        vertical: bool = False,
        view_key: str = "view",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.horizontal = horizontal
        self.vertical = vertical
        self.view_key = view_key
        axes = [axis for axis, flipped in ((0, vertical), (1, horizontal)) if flipped]
        self.flip = Flip(axes) if axes else None

    def _flip_view(self, item: dict[Hashable, Any]) -> None:
        if item.get(self.view_key) is not None:
            item[self.view_key] = flip_view(item[self.view_key], self.horizontal, self.vertical)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        if self.flip is not None:
            for key in self.key_iterator(item):
                item[key] = self.flip(item[key])
            self._flip_view(item)
        return item

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        if self.flip is not None:
            for key in self.key_iterator(item):
                item[key] = self.flip.inverse(item[key])
            self._flip_view(item)
        return item
