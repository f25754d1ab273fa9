"""Keep a refined map to the vessels of stage 1, as a MONAI transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.coronary.pipeline import keep_near


class KeepNeard(MapTransform):
    """Apply :func:`monai_lora_sam.coronary.pipeline.keep_near`, as the pipeline does, to refined maps (1, H, W).

    Args:
        keys: refined probabilities.
        probability_key: stage 1's map (1, H, W).

    Example:
        >>> item = {"pred": torch.ones(1, 8, 8), "probability": torch.zeros(1, 8, 8)}
        >>> KeepNeard("pred")(item)["pred"].max()
        tensor(0.)
    """

    def __init__(self, keys: KeysCollection, probability_key: str = "probability") -> None:
        super().__init__(keys)
        self.probability_key = probability_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        probability = torch.as_tensor(item[self.probability_key])[0].cpu().numpy()
        for key in self.key_iterator(item):
            refined = torch.as_tensor(item[key])
            kept = torch.from_numpy(keep_near(refined[0].cpu().numpy(), probability))[None]
            item[key] = kept.to(refined.device)
        return item
