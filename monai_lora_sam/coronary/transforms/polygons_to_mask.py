"""Draw polygons into masks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from skimage.draw import polygon

from monai_lora_sam.coronary.boxes import ring_points
from monai_lora_sam.transforms import as_meta_tensor


def polygon_area(ring_xy: Sequence[float]) -> float:
    """Return the area that one ring [x0, y0, x1, y1, ...] encloses, in square pixels (shoelace formula)."""
    x, y = np.asarray(ring_xy, dtype=np.float64).reshape(-1, 2).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def polygons_to_mask(
    polygons: Sequence[Sequence[Sequence[float]]], values: Sequence[int], shape: tuple[int, int]
) -> np.ndarray:
    """Draw polygons, each made of one or more rings, into one (H, W) uint8 mask.

    A ring is [x0, y0, x1, y1, ...] in COCO's coordinates: the image spans 0..W by 0..H, so pixel
    (row, column) has its centre at (x, y) = (column + 0.5, row + 0.5). A pixel belongs to a ring when its centre lies
    inside or on the outline; the drawn area then equals, on average, the polygon's own. (OpenCV and Pillow also paint
    every pixel that the outline touches, which widens vessels by about one pixel.)

    The rings of one polygon are united. Where polygons overlap, the polygon of smaller area is on top, equal areas
    in the order given: of two segments that overlap at a bifurcation, the smaller is the branch or the more distal
    segment, and could vanish under its parent if drawn first.

    Args:
        polygons: for each polygon its rings.
        values: for each polygon its value in the mask.
        shape: (H, W).

    Raises:
        ValueError: different counts, or a ring with fewer than 3 points or NaN.

    Example:
        >>> polygons_to_mask([[[0, 0, 2, 0, 2, 2, 0, 2]]], [7], (4, 4)).sum()
        28
    """
    if len(polygons) != len(values):
        raise ValueError(f"expected one value for each polygon, found {len(values)} for {len(polygons)}")
    points = [[ring_points(ring) for ring in rings] for rings in polygons]
    areas = [sum(polygon_area(ring) for ring in rings) for rings in polygons]
    mask = np.zeros(shape, dtype=np.uint8)
    for index in sorted(range(len(polygons)), key=lambda i: -areas[i]):
        for xy in points[index]:
            rows, columns = polygon(xy[:, 1] - 0.5, xy[:, 0] - 0.5, shape)
            mask[rows, columns] = values[index]
    return mask


class PolygonsToMaskd(MapTransform):
    """Replace a list of polygons by a (1, H, W) uint8 mask of the image's size.

    An item is a dict with `polygons_xy` (rings in COCO's coordinates) and `value`; `value` may be left out,
    and is 1 then. See `polygons_to_mask` for the pixel-centre rule and for overlaps.

    Args:
        keys: keys of the lists of polygons.
        image_key: key of the loaded (C, H, W) image that gives the size.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> item = {"image": torch.zeros(1, 4, 4), "lesions": [{"polygons_xy": [[0, 0, 2, 0, 2, 2, 0, 2]]}]}
        >>> PolygonsToMaskd(keys="lesions")(item)["lesions"].sum()
        metatensor(4)
    """

    def __init__(
        self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        height, width = item[self.image_key].shape[-2:]
        name = str(getattr(item[self.image_key], "meta", {}).get("filename_or_obj", ""))
        for key in self.key_iterator(item):
            polygons = [entry["polygons_xy"] for entry in item[key]]
            values = [int(entry.get("value", 1)) for entry in item[key]]
            try:
                mask = polygons_to_mask(polygons, values, (height, width))
            except ValueError as error:
                raise ValueError(f"{name or key}: {error}") from error
            item[key] = as_meta_tensor(mask, name)
        return item
