"""Load the masks of an image's phrases as channels of one tensor."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from monai_lora_sam.images import read_label
from monai_lora_sam.transforms.meta_tensor import as_meta_tensor


class LoadPhraseMasksd(Transform):
    """Load the mask of each phrase of an item, once its image is loaded.

    Args:
        vocabulary: all phrases; an item names them by their places in it.

    Shapes:
        ``masks`` (a path or values of ``label`` by phrase) and ``absent`` become label (M, H, W) uint8 0 and 1, one
        channel for each phrase that names something (one of zeros where none does), present (M,) and absent (A,),
        places in the vocabulary.

    Raises:
        ValueError: a mask of another size than its image, an empty one, or a phrase that is not in the vocabulary.

    Warns:
        UserWarning: masks of two phrases overlap in files of their own, which may be meant (a vessel and its branch).

    Example:
        >>> LoadPhraseMasksd(["liver", "spleen"])(
        ...     {"image": torch.zeros(3, 64, 64), "label": "liver.png", "masks": {"liver": [1]}, "absent": ["spleen"]}
        ... )["label"].shape  # doctest: +SKIP
        torch.Size([1, 64, 64])
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.places = {phrase: place for place, phrase in enumerate(vocabulary)}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        masks, absent = item.pop("masks"), item.pop("absent")
        unknown = sorted({*masks, *absent} - self.places.keys())
        if unknown:
            raise ValueError(f"{item.get('file')}: expected phrases of the vocabulary, found {unknown[:5]}")
        size = tuple(item["image"].shape[-2:])
        labels = read_label(item["label"], 256) if item.get("label") is not None else np.zeros(size, np.uint8)
        if set(np.unique(labels).tolist()) == {0, 255} and [1] in masks.values():
            labels = labels // 255
        found = []
        for phrase, source in masks.items():
            mask = read_label(source, 256) > 0 if isinstance(source, str) else np.isin(labels, source)
            name = source if isinstance(source, str) else item["label"]
            if mask.shape != size:
                raise ValueError(
                    f"{name}: expected {size[0]}x{size[1]} (rows x columns) as in {item.get('file')}, found "
                    f"{mask.shape[0]}x{mask.shape[1]}"
                )
            if not mask.any():
                raise ValueError(
                    f"{name}: expected {phrase!r} in its mask, found an empty one (null says that it is absent)"
                )
            found.append(mask)
        self._warn_of_overlaps(item.get("file"), masks, found)
        channels = np.stack(found or [np.zeros(size, bool)]).astype(np.uint8)
        item["label"] = as_meta_tensor(channels.transpose(1, 2, 0), str(item.get("file")))
        item["present"] = torch.tensor([self.places[phrase] for phrase in masks], dtype=torch.long)
        item["absent"] = torch.tensor([self.places[phrase] for phrase in absent], dtype=torch.long)
        return item

    @staticmethod
    def _warn_of_overlaps(file: Any, masks: Mapping[str, Any], found: Sequence[np.ndarray]) -> None:
        own = [
            (phrase, mask)
            for (phrase, source), mask in zip(masks.items(), found, strict=True)
            if isinstance(source, str)
        ]
        for index, (phrase, mask) in enumerate(own):
            for other, second in own[index + 1 :]:
                shared = int((mask & second).sum())
                if shared:
                    warnings.warn(
                        f"{file}: the masks of {phrase!r} and {other!r} overlap in {shared} pixels; each keeps its own",
                        stacklevel=3,
                    )
