"""Load label images as MONAI tensors and check them against their image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.images import read_label
from monai_lora_sam.transforms.meta_tensor import as_meta_tensor


class LoadLabeld(MapTransform):
    """Load label images as (1, H, W) uint8 class indices with rows first.

    Args:
        keys: keys of label paths.
        image_key: key of the loaded image whose size the label must have; None for no check.
        classes: number of classes, background included. With 2, masks of 0/255 become 0/1.
        allow_missing_keys: pass items that lack a key.

    Raises:
        ValueError: values that are no class, a size other than the image's, or an image that is not loaded yet.

    Example:
        >>> LoadLabeld(keys="label", image_key=None)({"label": "mask.png"})["label"].unique()
        metatensor([0, 1], dtype=torch.uint8)
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str | None = "image",
        classes: int = 2,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 2 <= classes <= 256:
            raise ValueError(f"classes: expected 2 to 256, background included, found {classes}")
        self.image_key = image_key
        self.classes = classes

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            label = read_label(item[key], self.classes)
            if self.image_key is not None:
                expected = tuple(getattr(item[self.image_key], "shape", ())[-2:])
                if len(expected) < 2:
                    raise ValueError(
                        f"{self.image_key}: expected the image to be loaded before its label, found "
                        f"{item[self.image_key]!r}; or give image_key=None"
                    )
                if label.shape != expected:
                    name = getattr(item[self.image_key], "meta", {}).get("filename_or_obj", self.image_key)
                    raise ValueError(
                        f"{item[key]}: expected {expected[0]}x{expected[1]} (rows x columns) as in {name}, "
                        f"found {label.shape[0]}x{label.shape[1]}"
                    )
            item[key] = as_meta_tensor(label, str(item[key]))
        return item
