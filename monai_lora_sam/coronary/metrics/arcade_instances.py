"""Convert label maps and lesions to ARCADE's instances, and instances to and from COCO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import find_contours, label

from monai_lora_sam.coronary.anatomy import (
    ARCADE_CLASS_NAMES,
    ARCADE_STENOSIS_ID,
    arcade_ids_by_name,
    coco_identifier,
)
from monai_lora_sam.coronary.boxes import box_around, check_box, ring_points

# Names of the categories by id, 1 to 26.
_NAMES = [*ARCADE_CLASS_NAMES, "stenosis"]


class ArcadeInstance(TypedDict):
    """Hold the fields of a COCO annotation that ARCADE's scorers read.

    `segmentation` holds rings [x0, y0, x1, y1, ...] in COCO's coordinates (the image spans 0..W by 0..H), `bbox`
    is [x, y, width, height].
    """

    category_id: int
    segmentation: list[list[float]]
    bbox: list[float]


def make_instance(category_id: int, rings: Sequence[Sequence[float]], name: str = "") -> ArcadeInstance:
    """Return an instance with the box around its rings.

    Args:
        category_id: ARCADE's id, 1 to 25 for segments, 26 for a stenosis.
        rings: one or more, each of at least three points.
        name: name of the instance, which starts the error's message.

    Raises:
        ValueError: an unknown category, no ring, or one with fewer than 3 finite points or without a height or
            width.
    """
    if category_id not in range(1, len(_NAMES)):
        raise ValueError(
            f"{name}: expected an ARCADE category id from 1 to {len(_NAMES) - 1}, found {category_id!r}"
        )
    if not isinstance(rings, Sequence) or not rings:
        raise ValueError(f"{name}: expected polygons [[x0, y0, x1, y1, ...], ...], found {rings!r}")
    x0, y0, x1, y1 = box_around([ring_points(ring, name).ravel().tolist() for ring in rings])
    if x0 == x1 or y0 == y1:
        raise ValueError(f"{name}: expected a polygon with an area, found all points at {[x0, y0, x1, y1]}")
    return ArcadeInstance(
        category_id=int(category_id),
        segmentation=[[float(value) for value in ring] for ring in rings],
        bbox=[x0, y0, x1 - x0, y1 - y0],
    )


def _outlines(mask: np.ndarray) -> list[list[float]]:
    """Return the outer outline of each connected piece, largest piece first, as rings in COCO's coordinates."""
    pieces = label(mask, connectivity=2)
    sizes = np.bincount(pieces.ravel())[1:]
    windows = find_objects(pieces)
    rings = []
    for index in np.argsort(-sizes, kind="stable"):
        rows, columns = windows[index]
        piece = np.pad(pieces[rows, columns] == index + 1, 1)
        contours = find_contours(piece.astype(np.float64), 0.5, fully_connected="high")
        outer = max(contours, key=lambda rc: np.ptp(rc[:, 0]) * np.ptp(rc[:, 1]))[:-1]
        # Minus the padding, plus the half pixel from a pixel's centre to COCO's coordinates.
        rings.append((outer[:, ::-1] + (columns.start - 0.5, rows.start - 0.5)).ravel().tolist())
    return rings


def label_map_to_instances(labels: np.ndarray, minimum_area_px: int = 1) -> list[ArcadeInstance]:
    """Return one instance for each class of a label map, its largest piece first among its rings.

    The official scorer reads the first ring alone, and a class too many makes the whole image 0: a minimal area
    raises the score. Holes are filled.

    Args:
        labels: (H, W), ARCADE category ids 1 to 25, 0 for background.
        minimum_area_px: classes with fewer pixels are left out.

    Raises:
        ValueError: another shape, or an unknown class.

    Example:
        >>> labels = np.zeros((8, 8), dtype=np.uint8); labels[2:4, 1:7] = 5
        >>> label_map_to_instances(labels)[0]["bbox"]
        [1.0, 2.0, 6.0, 2.0]
    """
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"expected a label map (H, W), found {labels.shape}")
    if unknown := sorted(set(np.unique(labels).tolist()) - set(range(len(ARCADE_CLASS_NAMES)))):
        raise ValueError(
            f"expected ARCADE category ids from 0 to {len(ARCADE_CLASS_NAMES) - 1}, found {unknown}"
        )
    return [
        make_instance(int(number), _outlines(labels == number), f"class {number}")
        for number in np.unique(labels)
        if number and (labels == number).sum() >= minimum_area_px
    ]


def lesions_to_instances(
    lesions: Sequence[Mapping[str, Any]], vessels: np.ndarray | None = None
) -> list[ArcadeInstance]:
    """Return lesions as instances of "stenosis".

    The rings are the lesion's `polygons_xy` where it has them; else, with a vessel mask, the largest piece of vessel
    inside `box_xyxy`; else the box. ARCADE outlines a stenosis along its vessel, on average over less than half of
    its box: by the official scorer a box alone scores low even where it is right.

    Args:
        lesions: dicts with `box_xyxy`.
        vessels: (H, W) bool, the predicted vessels of the image.

    Raises:
        ValueError: a box without area or that is not finite, or a bad polygon.

    Example:
        >>> lesions_to_instances([{"box_xyxy": [1, 2, 5, 4]}])[0]["segmentation"]
        [[1.0, 2.0, 5.0, 2.0, 5.0, 4.0, 1.0, 4.0]]
    """
    instances = []
    for index, lesion in enumerate(lesions):
        name = f"lesion {index}"
        box = x0, y0, x1, y1 = check_box(lesion["box_xyxy"], name)
        rings = lesion.get("polygons_xy") or []
        if not rings and vessels is not None:
            rings = _outlines(_inside(np.asarray(vessels, dtype=bool), box))[:1]
        instance = make_instance(ARCADE_STENOSIS_ID, rings or [[x0, y0, x1, y0, x1, y1, x0, y1]], name)
        instance["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        instances.append(instance)
    return instances


def _inside(mask: np.ndarray, box_xyxy: Sequence[float]) -> np.ndarray:
    """Return the mask without pixels whose centre is outside the box."""
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    x0, y0, x1, y1 = box_xyxy
    inside: np.ndarray = mask & (x + 0.5 >= x0) & (x + 0.5 <= x1) & (y + 0.5 >= y0) & (y + 0.5 <= y1)
    return inside


def instances_from_coco(content: Mapping[str, Any]) -> dict[str, list[ArcadeInstance]]:
    """Return the instances of an annotation file by image file name, in the order of the file.

    Images without an annotation have an empty list; the records of one file name are one image. Categories are known
    by name, whatever their ids. Boxes are taken around the polygons, since published boxes are rounded.

    Raises:
        ValueError: no COCO, an annotation of an unknown image or category, or a bad polygon.
    """
    for key in ("images", "annotations"):
        records = content.get(key) if isinstance(content, Mapping) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ValueError(f"{key}: expected a list of objects, found {records!r:.80}")
    arcade_ids = arcade_ids_by_name(content.get("categories"))
    names: dict[int | str, str] = {}
    for index, image in enumerate(content["images"]):
        identifier = _identifier(image, "id", f"image {index}")
        if identifier in names or not isinstance(image.get("file_name"), str):
            raise ValueError(
                f"image {index}: expected a file_name and an id of its own, found {image!r:.200}"
            )
        names[identifier] = image["file_name"]
    found: dict[str, list[ArcadeInstance]] = {name: [] for name in names.values()}
    for index, annotation in enumerate(content["annotations"]):
        where = f"annotation {index}"
        identifier = _identifier(annotation, "image_id", where)
        if identifier not in names:
            raise ValueError(f"{where}: expected the id of a listed image, found {identifier!r}")
        name = f"{names[identifier]}, {where}"
        number = _identifier(annotation, "category_id", where)
        category = arcade_ids.get(number)
        if category is None:
            raise ValueError(f"{name}: expected an ARCADE category, found {number!r}")
        found[names[identifier]].append(make_instance(category, annotation.get("segmentation") or [], name))
    return found


def _identifier(record: Mapping[str, Any], key: str, where: str) -> int | str:
    try:
        return coco_identifier(record.get(key))
    except ValueError as error:
        raise ValueError(f"{where}: {key}: {error}") from error


def instances_to_coco(
    instances: Mapping[str, Sequence[ArcadeInstance]], shape: tuple[int, int] = (512, 512)
) -> dict[str, Any]:
    """Return the COCO content that ARCADE's own scorer reads of instances.

    Args:
        instances: for each image file name its instances.
        shape: (H, W) of the images.
    """
    height, width = shape
    annotations = [
        {
            "id": 0,
            "image_id": number,
            "iscrowd": 0,
            "area": instance["bbox"][2] * instance["bbox"][3],
            **instance,
        }
        for number, of_image in enumerate(instances.values(), start=1)
        for instance in of_image
    ]
    return {
        "images": [
            {"id": number, "file_name": name, "width": width, "height": height}
            for number, name in enumerate(instances, start=1)
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for number, name in enumerate(_NAMES) if number
        ],
        "annotations": [
            {**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)
        ],
    }
