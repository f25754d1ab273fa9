"""Load labels as indices of a datalist's classes, whatever grey levels stand for its objects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import Transform

from monai_lora_sam.evaluation import labelled_objects
from monai_lora_sam.transforms import as_meta_tensor


class LoadObjectClassesd(Transform):
    """Replace the path `label` by (1, H, W) uint8 indices of classes, background 0.

    Grey levels are named by the entry's `objects`, as `prepare cosmos` writes it, or else are the datalist's classes.

    Args:
        class_names: background first.

    Raises:
        ValueError: an object that no class names, a size other than that of the loaded `image`, or see
            :func:`monai_lora_sam.evaluation.labelled_objects`.

    Example:
        >>> load = LoadObjectClassesd(["background", "vessel"])
        >>> load({"image": image, "label": "vessels.png"})["label"].shape  # doctest: +SKIP
        torch.Size([1, 584, 565])
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item, path = dict(data), data["label"]
        objects, _ = labelled_objects(item, self.class_names, smallest=1)  # type: ignore[arg-type]
        classes = np.zeros(item["image"].shape[-2:], np.uint8)
        for thing in objects:
            if thing.name not in self.class_names[1:]:
                raise ValueError(
                    f"{path}: expected objects among {self.class_names[1:]}, found {thing.name!r}"
                )
            if thing.mask.shape != classes.shape:
                raise ValueError(
                    f"{path}: expected {classes.shape} (rows, columns) as its image, found {thing.mask.shape}"
                )
            classes[thing.mask] = self.class_names.index(thing.name)
        item["label"] = as_meta_tensor(classes, str(path))
        return item
