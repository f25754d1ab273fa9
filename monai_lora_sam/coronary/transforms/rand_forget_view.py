"""Replace view angles by NaN at random, so that a network learns to work without them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform


class RandForgetViewd(RandomizableTransform, MapTransform):
    """Set the view angles of an image to NaN (unknown) with a given probability.

    A network trained with it uses known angles and works without them.

    Args:
        keys: keys of view tensors (2,), as :class:`ViewToTensord` makes them.
        prob: probability of NaN.

    Example:
        >>> RandForgetViewd(prob=1.0)({"view": torch.tensor([30.0, -20.0])})["view"]
        tensor([nan, nan])
    """

    def __init__(self, keys: KeysCollection = "view", prob: float = 0.3) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(item):
                item[key] = torch.full_like(item[key], float("nan"))
        return item
