"""Normalise intensities the way an encoder was trained."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, NormalizeIntensity, ScaleIntensity

from monai_lora_sam.encoders import ImageEncoder, build_encoder


class NormalizeForEncoderd(MapTransform):
    """Subtract the encoder's mean and divide by its standard deviation, channel by channel.

    For an encoder that reads each image in its own range (LiteMedSAM, mini), the image's minimum and maximum become 0
    and 1 before; a constant image becomes 0.

    Args:
        keys: keys of (3, H, W) tensors in 0..1.
        encoder: an encoder, or the name of one ("tiny", "sam3", "sam_vit_b", ...).
        allow_missing_keys: pass items that lack a key.

    Raises:
        ValueError: unknown name, or a tensor of other than three channels.

    Example:
        >>> NormalizeForEncoderd(keys="image", encoder="sam3")({"image": torch.ones(3, 8, 8)})["image"].max()
        tensor(1.)
    """

    def __init__(
        self, keys: KeysCollection, encoder: str | ImageEncoder, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if isinstance(encoder, str):
            with torch.device("meta"):  # Only its two constants are wanted: no memory, no weights.
                encoder = build_encoder(encoder)
        by_statistics = NormalizeIntensity(
            subtrahend=list(encoder.pixel_mean), divisor=list(encoder.pixel_std), channel_wise=True
        )
        self.normalize = Compose([ScaleIntensity(0.0, 1.0)] * encoder.own_range + [by_statistics])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            image = item[key]
            if image.shape[0] != 3:
                raise ValueError(f"{key}: expected three channels (3, H, W), found {tuple(image.shape)}")
            # A clone, since channel by channel MONAI normalises in place.
            item[key] = self.normalize(image.clone())
        return item
