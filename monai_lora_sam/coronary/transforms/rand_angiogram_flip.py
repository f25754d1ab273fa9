"""Mirror angiograms at random, together with their view angles."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from monai_lora_sam.coronary.transforms.angiogram_flip import AngiogramFlipd


class RandAngiogramFlipd(Randomizable, MapTransform):
    """Flip left to right and top to bottom, each with its own probability; the random `AngiogramFlipd`.

    Args:
        keys: keys of (C, H, W) tensors, all flipped alike.
        horizontal_probability: of mirroring left to right.
        vertical_probability: of mirroring top to bottom.
        view_key: key of the view angles; it may be missing or None.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> flip = RandAngiogramFlipd(keys=("image", "label"), horizontal_probability=1.0).set_random_state(0)
        >>> flip({"image": torch.rand(1, 8, 8), "label": torch.ones(1, 8, 8), "view": (30.0, 0.0)})["view"][0]
        -30.0
    """

    def __init__(
        self,
        keys: KeysCollection,
        horizontal_probability: float = 0.5,
        vertical_probability: float = 0.5,
        view_key: str = "view",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        for name, value in (("horizontal", horizontal_probability), ("vertical", vertical_probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}_probability: expected 0 to 1, found {value}")
        self.probabilities = (horizontal_probability, vertical_probability)
        self.flips = {
            (horizontal, vertical): AngiogramFlipd(keys, horizontal, vertical, view_key, allow_missing_keys)
            for horizontal in (False, True)
            for vertical in (False, True)
        }
        self.choice = (False, False)

    def randomize(self, data: Any = None) -> None:
        horizontal, vertical = self.probabilities
        self.choice = (bool(self.R.random() < horizontal), bool(self.R.random() < vertical))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize()
        return self.flips[self.choice](data)
