"""Load label images as MONAI tensors and check them against their image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.transforms.image_files import read_frame, to_grey
from monai_lora_sam.transforms.load_angiogram import as_meta_tensor


def read_label(path: str | Path, classes: int) -> np.ndarray:
    """Read class indices 0..classes-1 as (H, W) uint8, rows first.

    Where `classes` is 2, a mask saved as 0/255 is read as 0/1; no other value is ever mapped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, not integer, or values that are no class.
    """
    array = read_frame(path)
    grey = to_grey(array)
    if not np.issubdtype(grey.dtype, np.integer):
        raise ValueError(f"{path}: expected integer labels, found {array.dtype} or colours")
    values = np.unique(grey)
    if classes == 2 and values[-1] == 255 and set(values.tolist()) <= {0, 255}:
        return (grey > 0).astype(np.uint8)
    unknown = values[(values < 0) | (values >= classes)]
    if unknown.size:
        raise ValueError(
            f"{path}: expected labels 0..{classes - 1}{' or 0/255' if classes == 2 else ''}, "
            f"found {unknown[:10].tolist()}{' and more' if unknown.size > 10 else ''}"
        )
    return grey.astype(np.uint8)


class LoadLabeld(MapTransform):
    """Load label images as (1, H, W) uint8 class indices with rows first.

    Args:
        keys: keys of label paths.
        image_key: key of the image, already loaded, whose size the label must have; None for no check.
        classes: how many classes there are, background included. With 2, masks of 0/255 become 0/1.
        allow_missing_keys: pass items that lack a key.

    Raises:
        ValueError: values that are no class, or a size other than the image's.

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
                expected = tuple(item[self.image_key].shape[-2:])
                if label.shape != expected:
                    name = getattr(item[self.image_key], "meta", {}).get("filename_or_obj", self.image_key)
                    raise ValueError(
                        f"{item[key]}: expected {expected[0]}x{expected[1]} (rows x columns) as in {name}, "
                        f"found {label.shape[0]}x{label.shape[1]}"
                    )
            item[key] = as_meta_tensor(label, str(item[key]))
        return item
