"""Read and check ARCADE's COCO annotation files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.coronary.transforms import polygon_area
from monai_lora_sam.data import ErrorList
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
    """Hold one image of an annotation file with its polygons, in the order of the file."""

    path: Path
    shape: tuple[int, int]
    polygons: list[Polygon] = field(default_factory=list)

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
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        errors.add(path, "expected an annotation file, found nothing")
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        errors.add(path, f"expected JSON, found {error}")
        return None
    missing = [
        key
        for key in ("images", "annotations")
        if not isinstance(content, dict) or not isinstance(content.get(key), list)
    ]
    if missing:
        errors.add(path, f"expected COCO with lists under 'images' and 'annotations', found no {missing}")
        return None
    return content


def _ring_problem(ring: Any, shape: tuple[int, int]) -> str | None:
    """Return the error of one ring, or None."""
    if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
        found = f"{len(ring)} numbers" if isinstance(ring, list) else f"{type(ring).__name__}"
        return f"expected a polygon of at least 3 points x, y, found {found}"
    try:
        xy = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        return f"expected numbers, found {ring[:4]!r}"
    if not np.isfinite(xy).all():
        return "expected finite coordinates, found NaN or infinity"
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


def read_annotations(
    folder: Path, split: str, categories: range, errors: ErrorList, warnings: list[str]
) -> list[AnnotatedImage]:
    """Read `folder/annotations/<split>.json` and note its errors and oddities.

    Annotations are told apart by (image id, position in the file): their published ids can repeat.

    Args:
        folder: one split, with `images` and `annotations`.
        split: name of the annotation file.
        categories: the category ids that may occur.
        errors: collects errors by file.
        warnings: collects harmless oddities.

    Returns:
        images in the order of the file, without images that have an error of their own.
    """
    path = folder / "annotations" / f"{split}.json"
    content = _load(path, errors)
    if content is None:
        return []
    images: dict[Any, AnnotatedImage] = {}
    for index, record in enumerate(content["images"]):
        try:
            identifier, name = record["id"], str(record["file_name"])
            shape = (int(record["height"]), int(record["width"]))
        except (KeyError, TypeError, ValueError) as error:
            errors.add(path, f"images[{index}]: expected id, file_name, width and height, found {error!r}")
            continue
        if identifier in images:
            errors.add(path, f"images[{index}]: expected an id of its own, found {identifier} a second time")
        elif not (folder / "images" / name).is_file():
            errors.add(folder / "images" / name, f"expected the image that {path} names, found nothing")
        else:
            images[identifier] = AnnotatedImage(folder / "images" / name, shape)
    known = {record.get("id") for record in content["images"] if isinstance(record, dict)}
    seen: set[tuple[Any, str]] = set()
    for index, annotation in enumerate(content["annotations"]):
        where = f"annotations[{index}]"
        try:
            image_id, category, rings = (
                annotation["image_id"],
                annotation["category_id"],
                annotation["segmentation"],
            )
        except (KeyError, TypeError) as error:
            errors.add(path, f"{where}: expected image_id, category_id and segmentation, found {error!r}")
            continue
        if image_id not in known:
            errors.add(path, f"{where}: expected the id of an image, found {image_id!r}")
            continue
        if category not in categories:
            errors.add(
                path,
                f"{where}: expected a category from {categories[0]} to {categories[-1]}, found {category!r}",
            )
            continue
        if image_id not in images:
            continue  # The image's own error is noted already.
        if not isinstance(rings, list) or not rings:
            errors.add(path, f"{where}: expected a list of polygons, found {rings!r:.80}")
            continue
        wrong = [text for ring in rings if (text := _ring_problem(ring, images[image_id].shape))]
        if wrong:
            errors.add(path, f"{where} (image {images[image_id].path.name}): {'; '.join(wrong)}")
            continue
        key = (image_id, json.dumps([category, rings]))
        if key in seen:
            warnings.append(f"{path}: {where}: left out: the same polygon occurs twice in image {image_id}")
            continue
        seen.add(key)
        images[image_id].polygons.append(Polygon(category, rings))
    repeated = Counter(a.get("id") for a in content["annotations"] if isinstance(a, dict))
    again = sum(count - 1 for count in repeated.values())
    if again:
        warnings.append(
            f"{path}: {again} annotation ids repeat; annotations are told apart by image and position"
        )
    names = {image.path.name for image in images.values()}
    named = names | {str(r.get("file_name")) for r in content["images"] if isinstance(r, dict)}
    for file in sorted((folder / "images").glob("*")):
        if file.name not in named and is_image_name(file):
            warnings.append(f"{file}: left out: {path} does not name it")
    return list(images.values())
