"""Convert view angles to a tensor that collates and that networks take."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

LIMITS_DEGREES = {"primary": 180.0, "secondary": 90.0}


class ViewToTensord(MapTransform):
    """Turn (primary, secondary) in degrees into a float32 tensor (2,), NaN where unknown.

    Args:
        keys: keys of the view angles: a pair, or None for unknown. A missing key becomes unknown, too.

    Raises:
        ValueError: not a pair, a primary angle outside [-180, 180] or a secondary outside [-90, 90].

    Example:
        >>> ViewToTensord()({"view": (30.0, None)})["view"]
        tensor([30., nan])
    """

    def __init__(self, keys: KeysCollection = "view") -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.keys:
            view = item.get(key)
            try:
                angles = [
                    math.nan if angle is None else float(angle)
                    for angle in ((None, None) if view is None else view)
                ]
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{key}: expected (primary, secondary) in degrees, found {view!r}"
                ) from error
            if len(angles) != 2:
                raise ValueError(f"{key}: expected (primary, secondary) in degrees, found {view!r}")
            for angle, (name, limit) in zip(angles, LIMITS_DEGREES.items(), strict=True):
                if abs(angle) > limit:
                    raise ValueError(
                        f"{key}: expected a {name} angle within {limit:g} degrees of 0, found {angle:g}"
                    )
            item[key] = torch.tensor(angles, dtype=torch.float32)
        return item
