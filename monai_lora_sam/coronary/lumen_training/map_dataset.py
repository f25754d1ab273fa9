"""Data sets of phantoms with the vessel maps of the shipped stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import RandCoarseDropout
from monai.utils import convert_to_tensor
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from monai_lora_sam.coronary.lumen_training.map_augmentation import map_augmentation

LESION_SHARE = 0.4  # of the crops have their middle in a lesion
BOX_MARGIN_PX = 4  # margin in px around a lesion's box, so that its shoulders count as lesion
_SEED_STRIDE = 1_000_003  # keeps the crops of neighbouring seeds apart


class MapCrops(Dataset):
    """Draw a random crop of each phantom, the same for equal seed and index.

    Items are `image` (1, S, S), `probability` (1, S, S), the map of one of the stages with holes in it, and `label`
    (3, S, S): the exact label, the boxes of the lesions and the map without holes.

    Args:
        entries: of :func:`monai_lora_sam.coronary.lumen_training.prepare_maps`.
        window: see :func:`monai_lora_sam.coronary.lumen_training.map_augmentation`.
        side: S.

    Example:
        >>> crops = MapCrops(prepare_maps("phantoms")["training"])  # doctest: +SKIP
    """

    def __init__(self, entries: Sequence[dict[str, Any]], window: int = 336, side: int = 224) -> None:
        self.entries = entries
        self.change = map_augmentation(window, side)
        # Stage 1's map often breaks off at a tight stenosis: the network has to bridge gaps in it.
        self.holes = RandCoarseDropout(
            holes=1,
            max_holes=4,
            spatial_size=(12, 12),
            max_spatial_size=(48, 48),
            fill_value=0.0,
            prob=0.5,
        )
        self.seed = 0

    def set_random_state(self, seed: int) -> None:
        """Draw other crops; :class:`monai_lora_sam.handlers.EpochSeed` calls it at the start of each epoch."""
        self.seed = seed

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        entry = self.entries[index]
        random = np.random.default_rng((self.seed, index))
        self.change.set_random_state((self.seed * _SEED_STRIDE + index) % 2**31)
        self.holes.set_random_state((self.seed * _SEED_STRIDE + index) % 2**31)
        image, label = read_picture(entry["image"]) / 255, read_picture(entry["label"])
        found = read_picture(entry["maps"][random.choice(sorted(entry["maps"]))]) / 255
        lesions = torch.zeros_like(label)
        for lesion in entry["lesions"]:
            left, top, right, bottom = (round(value) for value in lesion["box_xyxy"])
            rows = slice(max(0, top - BOX_MARGIN_PX), bottom + BOX_MARGIN_PX + 1)
            lesions[:, rows, max(0, left - BOX_MARGIN_PX) : right + BOX_MARGIN_PX + 1] = 1
        narrowed = lesions * label
        # Without a lesion, three crops in five have their middle in a vessel.
        anywhere = label * (0.6 / label.mean().clamp(min=1e-4)) + 0.4
        middle = narrowed if random.random() < LESION_SHARE and narrowed.any() else anywhere
        crop = self.change({"image": image, "maps": torch.cat([label, lesions, found]), "middle": middle})[0]
        # Plain tensors: MONAI's own follow every operation of the network in Python.
        image, maps = (convert_to_tensor(crop[key], track_meta=False) for key in ("image", "maps"))
        maps = maps.clamp(0, 1)
        probability = convert_to_tensor(self.holes(maps[2:].clone()), track_meta=False)
        return {"image": image.clamp(0, 1), "probability": probability, "label": maps}


class WholeMaps(Dataset):
    """Give each phantom with the map of each stage, whole: `image`, `probability` and `label`, (1, H, W) each.

    Example:
        >>> maps = WholeMaps(prepare_maps("phantoms")["validation"])  # doctest: +SKIP
    """

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self.items = [(entry, stage) for entry in entries for stage in sorted(entry["maps"])]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        entry, stage = self.items[index]
        return {
            "image": read_picture(entry["image"]) / 255,
            "probability": read_picture(entry["maps"][stage]) / 255,
            "label": read_picture(entry["label"]),
            "case": f"{entry['case_id']}_{stage}",
        }


def read_picture(path: str | Path) -> Tensor:
    """Read a grey PNG as float32 (1, H, W)."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture)).float()[None]
