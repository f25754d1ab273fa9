"""Repeat a grey image in the three channels that Segment-Anything encoders take."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, RepeatChannel


class GreyToThreeChannelsd(MapTransform):
    """Repeat the one channel of (1, H, W) three times.

    Raises:
        ValueError: the tensor has other than one channel.

    Example:
        >>> GreyToThreeChannelsd(keys="image")({"image": torch.rand(1, 8, 8)})["image"].shape
        torch.Size([3, 8, 8])
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.repeat = RepeatChannel(3)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            if item[key].shape[0] != 1:
                raise ValueError(
                    f"{key}: expected one grey channel (1, H, W), found {tuple(item[key].shape)}"
                )
            item[key] = self.repeat(item[key])
        return item
