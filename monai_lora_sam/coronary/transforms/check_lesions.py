"""Check a datalist's lesions before training."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.coronary.boxes import ring_points

#: Lower and upper limit, both excluded, of a lesion's figures in percent, pixels and mm.
LIMITS = {"percent_diameter_stenosis": (0.0, 100.0), "mld_px": (0.0, math.inf), "mld_mm": (0.0, math.inf)}


def _numbers(lesion: Mapping[str, Any], key: str, count: int) -> np.ndarray:
    try:
        values = np.asarray(lesion.get(key))
    except ValueError:  # lists of different lengths
        values = np.empty(0)
    if values.dtype.kind not in "iuf" or values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"{key}: expected {count} finite numbers, found {lesion.get(key)!r}")
    return values.astype(np.float64)


def _check(lesion: Any, shape: tuple[int, int], mask: np.ndarray | None) -> None:
    if not isinstance(lesion, Mapping):
        raise ValueError(f"expected an object, found {lesion!r:.80}")
    x0, y0, x1, y1 = _numbers(lesion, "box_xyxy", 4)
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"expected a box of a positive area, found {lesion['box_xyxy']}")
    if x1 <= 0 or y1 <= 0 or x0 >= shape[1] or y0 >= shape[0]:
        raise ValueError(
            f"expected a box in the image of {shape[1]} × {shape[0]} pixels (width × height), "
            f"found {lesion['box_xyxy']}"
        )
    if lesion.get("centre_xy") is not None:
        x, y = _numbers(lesion, "centre_xy", 2)
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            raise ValueError(
                f"expected a centre in the box {lesion['box_xyxy']}, found {lesion['centre_xy']}"
            )
    for key, (low, high) in LIMITS.items():
        value = lesion.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
            raise ValueError(
                f"{key}: expected a number between {low:g} and {high:g}, or null, found {value!r}"
            )
    rings = lesion.get("polygons_xy") or []
    if not isinstance(rings, list):
        raise ValueError(f"polygons_xy: expected a list of rings, found {rings!r:.80}")
    for ring in rings:
        ring_points(ring, "polygons_xy")
    if mask is not None:
        rows = slice(max(math.floor(y0), 0), math.ceil(y1))
        columns = slice(max(math.floor(x0), 0), math.ceil(x1))
        if not mask[rows, columns].any():
            raise ValueError(
                f"expected a lesion on a vessel, found no vessel in its box {lesion['box_xyxy']}"
            )


class CheckLesionsd(MapTransform):
    """Check each lesion against its image and, where there is one, against the vessel mask.

    A lesion is a dict in COCO's coordinates, in which the image spans 0 to W by 0 to H. It has `box_xyxy` and, null
    where unknown, `centre_xy`, `polygons_xy`, `percent_diameter_stenosis`, `mld_px` and `mld_mm`.

    Args:
        keys: keys of the lists of lesions; an empty list is an image without any.
        image_key: key of the loaded (C, H, W) image.
        mask_key: key of the loaded (1, H, W) mask, vessels or lesions; items without it are not compared.

    Raises:
        ValueError: no list, a box that is not finite, has no area or lies outside the image or off the
            vessels, a centre outside its box, %DS outside 0 to 100 or an MLD that is not positive. The message
            names the file, the lesion, the expected and the found content.

    Example:
        >>> item = {"image": torch.zeros(1, 8, 8), "lesions": [{"box_xyxy": [1, 1, 5, 5]}]}
        >>> CheckLesionsd("lesions")(item)["lesions"]
        [{'box_xyxy': [1, 1, 5, 5]}]
    """

    def __init__(
        self, keys: KeysCollection = "lesions", image_key: str = "image", mask_key: str = "label"
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.image_key, self.mask_key = image_key, mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        image = item[self.image_key]
        name = str(getattr(image, "meta", {}).get("filename_or_obj", self.image_key))
        mask = None if item.get(self.mask_key) is None else np.asarray(item[self.mask_key])[0] > 0
        for key in self.keys:
            lesions = item.get(key)
            if not isinstance(lesions, list):
                raise ValueError(
                    f"{name}: {key}: expected a list of lesions (empty where there are none), found {lesions!r}: "
                    "prepare the data set again, or name one with lesions"
                )
            for index, lesion in enumerate(lesions):
                try:
                    _check(lesion, tuple(image.shape[-2:]), mask)
                except ValueError as error:
                    raise ValueError(f"{name}: {key}[{index}]: {error}") from error
        return item
