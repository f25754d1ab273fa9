"""Convert found and true lesions to the pixels of their image at its own size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.coronary.networks import decode_lesions, rows_to_lesions


class DecodeLesionsd(MapTransform):
    """Turn a detector's output, and rows of targets, into lists of lesions in the image's own pixels.

    Items are single images, after the batch was split. :func:`monai_lora_sam.coronary.networks.decode_lesions`
    describes the lesions.

    Args:
        keys: keys of outputs (dicts of tensors) and targets ((M, 8) tensors), told apart by type.
        image_key: key of the image, a MetaTensor that ``ResizeLongestSided`` scaled.
        score_threshold, overlap: see :func:`monai_lora_sam.coronary.networks.decode_lesions`.

    Example:
        >>> DecodeLesionsd(["pred", "label"])(item)["pred"][0]["percent_diameter_stenosis"]  # doctest: +SKIP
        63.1
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        score_threshold: float = 0.3,
        overlap: float = 0.3,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.score_threshold, self.overlap = image_key, score_threshold, overlap

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        image = item[self.image_key]
        shape = tuple(int(length) for length in image.meta["spatial_shape"])
        side = max(image.shape[-2:])
        for key in self.key_iterator(item):
            value = item[key]
            if isinstance(value, Mapping):
                batch = {name: tensor[None] for name, tensor in value.items()}
                item[key] = decode_lesions(batch, [shape], side, self.score_threshold, self.overlap)[0]
            else:
                item[key] = rows_to_lesions(value, shape, side)
        return item
