"""Draw points and boxes for a teacher and its student, from labels or on a grid."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from numpy.typing import NDArray

from monai_lora_sam.transforms import enlarged_box, random_points, tight_box

#: Largest distance by which a side of an object's box is moved outwards, as a share of the image's longer side:
#: LiteMedSAM's authors moved it by 0 to 5 pixels of 256.
LARGEST_MARGIN = 5 / 256
#: Half the side of a box on the grid, as a share of the image's side.
HALF_SIDES = (0.05, 0.3)


class DrawPromptsd(Randomizable, Transform):
    """Give an item boxes and points to ask teacher and student about.

    Of an image with a label, prompts show objects of it, all pixels of one value being one object: a box around it,
    whose sides are moved outwards by up to 2 % of the image, and one of its pixels. Objects come several times where
    there are fewer than `count`. Of an image without a label, prompts lie on a grid over the image: a random
    place in each of the chosen cells, as the point and as the centre of a box of random sides.

    Args:
        count: number of prompts of each kind.
        seed: draw the same prompts at each call; None draws new ones.

    Shapes:
        image (3, S, S), size (2,) and, where known, label (1, S, S); adds boxes (count, 4), points (count, 1, 2) and
        point_labels (count, 1), in pixels, and drops the label.

    Raises:
        ValueError: a count below 1.

    Example:
        >>> item = DrawPromptsd(4, seed=0)({"image": torch.zeros(3, 64, 64), "size": torch.tensor([64, 48])})
        >>> item["boxes"].shape, bool((item["points"][..., 0] < 48).all())
        (torch.Size([4, 4]), True)
    """

    def __init__(self, count: int, seed: int | None = None) -> None:
        if count < 1:
            raise ValueError(f"count: expected 1 or more, found {count}")
        self.count, self.seed = count, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        seed = self.R.randint(2**31) if self.seed is None else self.seed
        generator = np.random.default_rng(int(seed))
        rows, columns = (int(side) for side in item["size"])
        label = item.pop("label", None)
        levels = None if label is None else np.asarray(label)[0, :rows, :columns]
        values = [] if levels is None else [value for value in np.unique(levels) if value]
        if values:
            boxes, points = self._of_objects(levels, values, generator)
        else:
            boxes, points = self._on_grid(rows, columns, generator)
        item["boxes"] = torch.from_numpy(boxes)
        item["points"] = torch.from_numpy(points)[:, None]
        item["point_labels"] = torch.ones(self.count, 1, dtype=torch.long)
        return item

    def _of_objects(
        self, levels: Any, values: list[Any], generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        boxes, points = [], []
        margin = LARGEST_MARGIN * max(levels.shape)
        for value in generator.choice(values, self.count, replace=len(values) < self.count):
            mask = levels == value
            boxes.append(enlarged_box(tight_box(mask), generator.uniform(0, margin, 4), levels.shape))
            points.append(random_points(mask, 1, generator)[0])
        return np.stack(boxes), np.stack(points)

    def _on_grid(
        self, rows: int, columns: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        cells = math.ceil(math.sqrt(self.count))
        chosen = generator.choice(cells**2, self.count, replace=False)
        place = np.stack([chosen % cells, chosen // cells], axis=1) + generator.random((self.count, 2))
        side = np.array([columns, rows])
        centre = place / cells * side
        half = np.maximum(generator.uniform(*HALF_SIDES, (self.count, 2)) * side, 1)
        low = np.clip(centre - half, 0, side - 1)
        high = np.clip(centre + half, low + 1, side)
        points = np.clip(np.floor(centre), 0, side - 1)
        return np.concatenate([low, high], axis=1).astype(np.float32), points.astype(np.float32)
