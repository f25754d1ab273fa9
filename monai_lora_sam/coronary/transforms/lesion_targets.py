"""Turn a datalist's lesions into a tensor that follows the transforms of their image."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.coronary.boxes import box_centre, ring_points
from monai_lora_sam.coronary.networks import LESION_COLUMNS


class LesionTargetsd(MapTransform):
    """Turn a list of lesions into a (rows, 8) tensor of ``LESION_COLUMNS`` in the pixels of the transformed image.

    MONAI's spatial transforms (resizing, flips, rotation, scaling) record their work in the image's `affine`, from
    which lesions are moved. A lesion with `polygons_xy` gets the box around its moved outline; a lesion without
    them gets the box around the moved ellipse that its box encloses (Kalra et al., ICCV 2021: corners would make it
    too large). Boxes are clipped to the frame; a lesion whose box's centre left the frame is left out. An MLD is
    scaled by the root of the change of area.

    Args:
        keys: key of the list, checked by `CheckLesionsd`.
        image_key: key of the image, a MetaTensor.
        target_key: key of the resulting tensor.
        rows: number of rows of the tensor; rows without a lesion are NaN.

    Raises:
        ValueError: more than one key, or more lesions than rows; the file is named.

    Example:
        >>> item = {"image": MetaTensor(torch.zeros(1, 8, 8)), "lesions": [{"box_xyxy": [1, 1, 5, 5]}]}
        >>> LesionTargetsd("lesions")(item)["label"][0, :4]
        tensor([1., 1., 5., 5.])
    """

    def __init__(
        self,
        keys: KeysCollection = "lesions",
        image_key: str = "image",
        target_key: str = "label",
        rows: int = 16,
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys: expected one, found {list(self.keys)}")
        self.image_key, self.target_key, self.rows = image_key, target_key, rows

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        image = item[self.image_key]
        name = str(image.meta.get("filename_or_obj", self.image_key))
        # The affine takes (row, column) of the transformed image to (row, column) of the image as read.
        forward = np.linalg.inv(np.asarray(image.affine, dtype=np.float64)[np.ix_((0, 1, -1), (0, 1, -1))])
        for key in self.key_iterator(item):
            if len(item[key]) > self.rows:
                raise ValueError(
                    f"{name}: {key}: expected at most {self.rows} lesions, found {len(item[key])}"
                )
            target = torch.full((self.rows, len(LESION_COLUMNS)), math.nan)
            moved = [_move(lesion, forward) for lesion in item[key]]
            seen = [row for row in (_clip(row, image.shape[-2:]) for row in moved) if row is not None]
            for index, row in enumerate(seen):
                target[index] = torch.tensor(row)
            item[self.target_key] = target
        return item


def _move(lesion: Mapping[str, Any], forward: np.ndarray) -> list[float]:
    linear = forward[:2, :2]

    def points(xy: np.ndarray) -> np.ndarray:
        # COCO's (x, y) have the first pixel's centre at 0.5, the affine's (row, column) at 0.
        return ((xy[:, ::-1] - 0.5) @ linear.T + forward[:2, 2])[:, ::-1] + 0.5

    rings = lesion.get("polygons_xy")
    if rings:
        outline = points(np.concatenate([ring_points(ring) for ring in rings]))
        low, high = outline.min(axis=0), outline.max(axis=0)
    else:
        corners = np.asarray(lesion["box_xyxy"], dtype=np.float64).reshape(2, 2)
        middle = points(corners.mean(axis=0, keepdims=True))[0]
        half_rc = 0.5 * (corners[1] - corners[0])[::-1]
        half = np.sqrt((linear**2) @ half_rc**2)[::-1]
        low, high = middle - half, middle + half
    centre = lesion.get("centre_xy")
    x, y = (math.nan, math.nan) if centre is None else points(np.asarray([centre], dtype=np.float64))[0]
    percent, mld = lesion.get("percent_diameter_stenosis"), lesion.get("mld_px")
    scale = math.sqrt(abs(np.linalg.det(linear)))
    return [
        *low,
        *high,
        x,
        y,
        math.nan if percent is None else percent,
        math.nan if mld is None else mld * scale,
    ]


def _clip(row: list[float], shape: tuple[int, int]) -> list[float] | None:
    height, width = shape
    x, y = box_centre(row[:4])
    if not (0 <= x <= width and 0 <= y <= height):
        return None
    box = np.clip(row[:4], 0, [width, height, width, height])
    return [*box, *row[4:]]
