"""Draw prompts for the objects of a label, each with the mask that it asks for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

from monai_lora_sam.transforms.sample_prompts import centre_point, jittered_box, random_points, tight_box

#: Kind of prompt → how often it is drawn.
SHARES = MappingProxyType({"tight box": 0.3, "jittered box": 0.3, "points": 0.4})
#: Most points of a prompt.
MOST_POINTS = 5
#: Share of a box's sides by which a jittered box is moved.
JITTER = 0.25


class DrawObjectPromptsd(Randomizable, Transform):
    """Give an item prompts for objects of its label, all pixels of one value being one object.

    Each prompt is a tight box, a jittered box (:func:`jittered_box`), or 1 to 5 points, of which the first is the
    object's centre in half of the draws. Objects come several times where there are fewer than `count`.

    Args:
        count: number of prompts.
        seed: draw the same prompts at each call; None draws new ones.

    Shapes:
        label (1, H, W) becomes truth (count, H, W) uint8, the mask of each prompt's object. Adds boxes (count, 4), all
        zero where the prompt has no box, points (count, 5, 2) and point_labels (count, 5), 1 for a point and -1 for
        none, in pixels of the label, and its size (2,) where the item has none.

    Raises:
        ValueError: a count below 1, or a label without an object; the item's `file` is named.

    Example:
        >>> label = torch.zeros(1, 32, 32, dtype=torch.uint8)
        >>> label[0, 4:20, 6:12] = 1
        >>> item = DrawObjectPromptsd(3, seed=0)({"label": label})
        >>> item["truth"].shape, item["boxes"].shape, item["points"].shape
        (torch.Size([3, 32, 32]), torch.Size([3, 4]), torch.Size([3, 5, 2]))
    """

    def __init__(self, count: int, seed: int | None = None) -> None:
        if count < 1:
            raise ValueError(f"count: expected 1 or more, found {count}")
        self.count, self.seed = count, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        seed = self.R.randint(2**31) if self.seed is None else self.seed
        generator = np.random.default_rng(int(seed))
        levels = np.asarray(item.pop("label"))[0]
        values = [value for value in np.unique(levels) if value]
        if not values:
            raise ValueError(
                f"{item.get('file', 'label')}: expected an object at {levels.shape[0]}x{levels.shape[1]} pixels, found "
                "none (raise image_size, or leave the image out)"
            )
        boxes = np.zeros((self.count, 4), np.float32)
        points = np.zeros((self.count, MOST_POINTS, 2), np.float32)
        labels = np.full((self.count, MOST_POINTS), -1, np.int64)
        truth = np.zeros((self.count, *levels.shape), np.uint8)
        chosen = generator.choice(values, self.count, replace=len(values) < self.count)
        for index, value in enumerate(chosen):
            mask = levels == value
            truth[index] = mask
            kind = generator.choice(list(SHARES), p=list(SHARES.values()))
            if kind == "points":
                count = int(generator.integers(1, MOST_POINTS + 1))
                points[index, :count] = random_points(mask, count, generator)
                if generator.random() < 0.5:
                    points[index, 0] = centre_point(mask)
                labels[index, :count] = 1
            else:
                tight = kind == "tight box"
                boxes[index] = tight_box(mask) if tight else jittered_box(mask, JITTER, generator)
        item.setdefault("size", torch.tensor(levels.shape))
        return {
            **item,
            "boxes": torch.from_numpy(boxes),
            "points": torch.from_numpy(points),
            "point_labels": torch.from_numpy(labels),
            "truth": torch.from_numpy(truth),
        }
