"""Read and check ARCADE's COCO annotation files."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.coronary.anatomy import arcade_ids_by_name, coco_identifier
from monai_lora_sam.coronary.transforms import polygon_area
from monai_lora_sam.data import ErrorList
from monai_lora_sam.files import read_json_value
from monai_lora_sam.images import is_image_name

# Largest distance in pixels of a polygon's point outside its image: published coordinates may lie on the border.
BORDER_PIXELS = 1.0
# Version of the drawing of labels, part of their hash: labels of an older version are drawn again.
DRAWING_RULE = 2


@dataclass(frozen=True)
class Polygon:
    """Hold one annotation: ARCADE category id and rings [x0, y0, x1, y1, ...] in COCO's coordinates."""

    category: int
    rings: list[list[float]]


@dataclass(frozen=True)
class AnnotatedImage:
    """Hold one image of an annotation file with its polygons, in the order of the file.

    `name` is the path inside the folder of images.
    """

    path: Path
    shape: tuple[int, int]
    polygons: list[Polygon] = field(default_factory=list)
    name: str = ""

    def digest(self, task: str) -> str:
        """Return a hash of all that a label is drawn from."""
        content = [
            DRAWING_RULE,
            task,
            self.shape,
            [(polygon.category, polygon.rings) for polygon in self.polygons],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _load(path: Path, errors: ErrorList) -> dict[str, Any] | None:
    try:
        content = read_json_value(path, "an annotation file")
    except (FileNotFoundError, ValueError) as error:
        errors.add(path, str(error))
        return None
    missing = [
        key
        for key in ("images", "annotations")
        if not isinstance(content, dict) or not isinstance(content.get(key), list)
    ]
    if missing:
        errors.add(path, f"expected COCO with lists under 'images' and 'annotations', found no {missing}")
        return None
    if not content["images"]:
        errors.add(path, "expected images, found none")
    return content


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ring_problem(ring: Any, shape: tuple[int, int]) -> str | None:
    """Return the error of one ring, or None."""
    if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
        found = f"{len(ring)} numbers" if isinstance(ring, list) else f"{type(ring).__name__}"
        return f"expected a polygon of at least 3 points x, y, found {found}"
    if wrong := [value for value in ring if not _is_number(value)]:
        return f"expected numbers, found {wrong[0]!r:.40}"
    if not all(abs(value) < 1e9 for value in ring):  # False for NaN; also spares NumPy endless integers.
        return "expected finite coordinates, found NaN, infinity or more than 1e9"
    xy = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    if (
        xy.min() < -BORDER_PIXELS
        or xy[:, 0].max() > shape[1] + BORDER_PIXELS
        or xy[:, 1].max() > shape[0] + BORDER_PIXELS
    ):
        low, high = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
        return f"expected a polygon inside the image of {shape[1]}x{shape[0]} (x, y), found {low} to {high}"
    if polygon_area(ring) == 0:
        return "expected a polygon with an area, found a degenerate one"
    return None


def _rings(annotation: dict[str, Any], shape: tuple[int, int]) -> list[list[float]]:
    """Return the rings of an annotation, or raise a `ValueError` that says why it has none."""
    rings = annotation.get("segmentation")
    if isinstance(rings, dict):
        raise ValueError("expected a list of polygons, found a run-length mask (RLE): convert it to polygons")
    if not rings:
        beside = "a box alone" if annotation.get("bbox") else "none"
        raise ValueError(f"expected a list of polygons under 'segmentation', found {beside}")
    if not isinstance(rings, list):
        raise ValueError(f"expected a list of polygons, found {rings!r:.80}")
    if annotation.get("iscrowd", 0) not in (0, "0", None):
        raise ValueError(f"expected one object (iscrowd 0), found iscrowd {annotation['iscrowd']!r:.80}")
    if wrong := [text for ring in rings if (text := _ring_problem(ring, shape))]:
        raise ValueError("; ".join(wrong))
    return rings


def _composed(name: str) -> str:
    """Return a name in Unicode's composed form: macOS keeps accents as characters of their own."""
    return unicodedata.normalize("NFC", name)


class _ImageFiles:
    """Find the images of one folder by their names in an annotation file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.names = {path.relative_to(folder).as_posix(): path for path in files}
        self.composed = {_composed(name): name for name in self.names}

    def find(self, name: str) -> str | None:
        """Return the path inside the folder; names that lead out of it are never found."""
        posix = name.replace("\\", "/").removeprefix("./")
        return posix if posix in self.names else self.composed.get(_composed(posix))


def _read_images(
    path: Path, records: list[Any], files: _ImageFiles, errors: ErrorList, warnings: list[str]
) -> dict[int | str, AnnotatedImage | None]:
    """Return the images by id: None for one with an error of its own, one object for the records of one file."""
    images: dict[int | str, AnnotatedImage | None] = {}
    by_name: dict[str, AnnotatedImage] = {}
    for index, record in enumerate(records):
        where = f"images[{index}]"
        try:
            identifier = coco_identifier(record["id"])
            name, height, width = record["file_name"], record["height"], record["width"]
        except (KeyError, TypeError, ValueError) as error:
            errors.add(path, f"{where}: expected id, file_name, width and height, found {error!r:.200}")
            continue
        if identifier in images:
            errors.add(path, f"{where}: expected an id of its own, found {identifier} a second time")
            continue
        images[identifier] = None
        if not isinstance(name, str) or not all(
            _is_number(side) and 0 < side < 1e6 and side == int(side) for side in (height, width)
        ):
            errors.add(
                path,
                f"{where}: expected file_name, a text, and width and height, whole numbers, "
                f"found {name!r:.80}, {width!r:.40} and {height!r:.40}",
            )
            continue
        shape = (int(height), int(width))
        found = files.find(name)
        if found is None:
            errors.add(f"{files.folder}/{name}", f"expected the image that {path} names, found nothing")
            continue
        image = by_name.setdefault(found, AnnotatedImage(files.names[found], shape, name=found))
        if image.shape != shape:
            errors.add(
                path,
                f"{where}: expected {image.shape} (rows, columns) as another record of {found} says, found {shape}",
            )
            continue
        if found in [other.name for other in images.values() if other]:
            warnings.append(f"{path}: {where}: joined with another record of {found}")
        images[identifier] = image
    return images


def read_annotations(
    folder: Path, split: str, categories: range, errors: ErrorList, warnings: list[str]
) -> list[AnnotatedImage]:
    """Read `folder/annotations/<split>.json` and note its errors and oddities.

    Annotations are told apart by (image, position in the file): their published ids can repeat. Several records of one
    image file are one image. Categories are known by their names, whatever their ids.

    Args:
        folder: one split, with `images` and `annotations`.
        split: name of the annotation file.
        categories: ARCADE's category ids that may occur.
        errors: collects errors by file.
        warnings: collects harmless oddities.

    Returns:
        images in the order of the file, without images that have an error of their own.
    """
    path = folder / "annotations" / f"{split}.json"
    content = _load(path, errors)
    if content is None:
        return []
    try:
        arcade_ids = arcade_ids_by_name(content.get("categories"))
    except ValueError as error:
        errors.add(path, str(error))
        return []
    files = _ImageFiles(folder / "images")
    images = _read_images(path, content["images"], files, errors, warnings)
    seen: set[tuple[str, str]] = set()
    identifiers: Counter[str] = Counter()
    for index, annotation in enumerate(content["annotations"]):
        where = f"annotations[{index}]"
        if not isinstance(annotation, dict):
            errors.add(path, f"{where}: expected an object, found {annotation!r:.80}")
            continue
        identifiers[repr(annotation.get("id"))] += 1
        try:
            image_id = coco_identifier(annotation["image_id"])
            number = coco_identifier(annotation["category_id"])
        except (KeyError, ValueError) as error:
            errors.add(
                path, f"{where}: expected image_id, category_id and segmentation, found {error!r:.200}"
            )
            continue
        if image_id not in images:
            errors.add(path, f"{where}: expected the id of an image, found {image_id!r}")
            continue
        category = arcade_ids.get(number)
        if category is None or category not in categories:
            found = category or f"{number!r} (under 'categories' no name of ARCADE's)"
            errors.add(
                path,
                f"{where}: expected a category from {categories[0]} to {categories[-1]}, found {found}",
            )
            continue
        image = images[image_id]
        if image is None:
            continue  # The image's own error is noted already.
        try:
            rings = _rings(annotation, image.shape)
        except ValueError as error:
            errors.add(path, f"{where} (image {image.name}): {error}")
            continue
        key = (image.name, json.dumps([category, rings]))
        if key in seen:
            warnings.append(f"{path}: {where}: left out: the same polygon occurs twice in image {image.name}")
            continue
        seen.add(key)
        image.polygons.append(Polygon(category, rings))
    if again := sum(count - 1 for count in identifiers.values()):
        warnings.append(
            f"{path}: {again} annotation ids repeat; annotations are told apart by image and position"
        )
    named = {image.name for image in images.values() if image}
    for name, file in files.names.items():
        if name not in named and is_image_name(file):
            warnings.append(f"{file}: left out: {path} does not name it")
    return list({image.name: image for image in images.values() if image}.values())
