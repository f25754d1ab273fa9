"""Prepare ARCADE (Popov et al., Sci Data 2024, doi 10.1038/s41597-023-02871-z) as MONAI datalists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin
from scipy.ndimage import maximum_filter

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES, ARCADE_STENOSIS_ID
from monai_lora_sam.coronary.boxes import box_around, box_centre
from monai_lora_sam.coronary.data.arcade_annotations import AnnotatedImage, read_annotations
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.transforms import polygon_area, polygons_to_mask
from monai_lora_sam.data import ErrorList, ImageSignature, duplicate_groups, image_signature, write_datalist
from monai_lora_sam.files import atomic_file
from monai_lora_sam.images import is_image_name

# The published folder and the categories that belong there, task by task.
TASKS: dict[str, tuple[str, range, list[str]]] = {
    "vessels": ("syntax", range(1, 26), ["background", "vessel"]),
    "segments": ("syntax", range(1, 26), ARCADE_CLASS_NAMES),
    "stenosis": ("stenosis", range(ARCADE_STENOSIS_ID, ARCADE_STENOSIS_ID + 1), ["background", "stenosis"]),
}
# Published split → split of the datalist. Duplicates in several splits stay in the last of these.
SPLITS = {"train": "training", "val": "validation", "test": "test"}


def _lesion(polygon: Any) -> dict[str, Any]:
    box = box_around(polygon.rings)
    return {
        "category": "stenosis",
        "box_xyxy": box,
        "centre_xy": list(box_centre(box)),
        "percent_diameter_stenosis": None,
        "mld_px": None,
        "mld_mm": None,
        "polygons_xy": polygon.rings,
        "area_px": sum(polygon_area(ring) for ring in polygon.rings),
    }


def stenosis_lesions(image: AnnotatedImage) -> list[dict[str, Any]]:
    """Return the lesions of one image as JSON: `category`, `box_xyxy`, `polygons_xy` (rings), `area_px`.

    All datalists share this form: `centre_xy` is the box's centre; values that ARCADE does not give
    (`percent_diameter_stenosis`, `mld_px`, `mld_mm`) are null. Coordinates are COCO's: the image spans 0..W by
    0..H, so boxes compare with the published boxes.
    """
    return [_lesion(polygon) for polygon in image.polygons]


def draw_label(image: AnnotatedImage, task: str) -> np.ndarray:
    """Draw the label of one image as (H, W) uint8 class indices.

    Polygons are drawn by `polygons_to_mask`. Between neighbouring segments the published polygons leave
    seams about a pixel wide, which would cut the vessel; so, for vessels and segments, a pixel that touches
    two polygons (one of its 8 neighbours lies in each) is vessel, too, and takes the smaller one's class.
    """
    values = [polygon.category if task == "segments" else 1 for polygon in image.polygons]
    label = polygons_to_mask([polygon.rings for polygon in image.polygons], values, image.shape)
    if task == "stenosis":
        return label
    near = [
        maximum_filter(polygons_to_mask([polygon.rings], [1], image.shape), 3) > 0
        for polygon in image.polygons
    ]
    seam = (np.sum(near, axis=0) >= 2) & (label == 0)
    for index in sorted(range(len(near)), key=lambda i: -int(near[i].sum())):
        label[seam & near[index]] = values[index]
    return label


def _write_label(path: Path, image: AnnotatedImage, task: str) -> None:
    """Draw a label unless the file there was drawn from the same annotations."""
    source = image.digest(task)
    if path.is_file():
        try:
            with Image.open(path) as existing:
                if (
                    isinstance(existing, PngImagePlugin.PngImageFile)
                    and existing.text.get("annotations") == source
                ):
                    existing.load()
                    return
        except (OSError, SyntaxError):
            pass  # A broken or foreign file is drawn again.
    mask = draw_label(image, task)
    text = PngImagePlugin.PngInfo()
    text.add_text("annotations", source)
    with atomic_file(path) as temporary:
        Image.fromarray(mask).save(temporary, format="PNG", pnginfo=text)


def _label_name(name: str) -> str:
    """Return the name of an image's label: "1.png" for "1.png", "1.jpg.png" for "1.jpg"; no two images share one."""
    return name if name.endswith(".png") and not is_image_name(Path(name[:-4])) else f"{name}.png"


def _task_folder(source: Path, subfolder: str) -> Path:
    """Return the folder that holds the splits: `source/subfolder`, or `source` where it is that folder itself."""
    for root in (source / subfolder, source):
        if root.name == subfolder and any((root / split).is_dir() for split in SPLITS):
            return root
    root = source if source.name == subfolder else source / subfolder
    found = "none" if source.is_dir() else "no such folder"
    raise FileNotFoundError(f"{root}: expected the folders {', '.join(SPLITS)} (any of them), found {found}")


def _check_image(image: AnnotatedImage, errors: ErrorList) -> ImageSignature | None:
    """Read one image; return its signature, or None after noting its error."""
    try:
        angiogram = read_angiogram(image.path)
    except (ValueError, OSError) as error:
        errors.add(image.path, str(error))
        return None
    if angiogram.pixels.shape != image.shape:
        stored = angiogram.pixels.shape[::-1] == image.shape
        errors.add(
            image.path,
            f"expected {image.shape} (rows, columns), found {angiogram.pixels.shape}"
            + (": expected polygons drawn on the picture as its EXIF orientation turns it" if stored else ""),
        )
    return image_signature(angiogram.pixels)


def prepare_arcade(
    source: str | Path,
    out: str | Path,
    task: str = "vessels",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Turn the published layout into label images and a datalist.

    Reads `source/syntax` (vessels, segments) or `source/stenosis`, each with `{train,val,test}/images` and
    `{train,val,test}/annotations/{train,val,test}.json`, and writes `out/datalist.json` and
    `out/labels/<split>/<name>.png`, a label for each image file (`1.jpg.png` for `1.jpg`). Labels hold class
    indices: 0/1 for vessels (all segments united) and stenosis, ARCADE's category id 0..25 for segments. Stenosis
    entries have their boxes and polygons under `lesions`.

    ARCADE's split is kept: train → training, val → validation, test → test. An image that is also in
    validation or test is left out of training (and an image also in test out of validation); duplicates within a
    split share a `case_id`. The datalist's `warnings` list images left out and harmless oddities. A second run
    resumes a killed one and keeps labels drawn from the same annotations.

    Args:
        source: folder that holds `syntax` and `stenosis`, or the one of them that the task needs.
        out: folder to write.
        task: "vessels", "segments" or "stenosis".
        progress: called with (images done, images in all).

    Returns:
        path of the datalist.

    Raises:
        ValueError: unknown task.
        ValueError: no image has an annotation.
        FileNotFoundError: `source` is not in the published layout.
        DatasetError: all errors of the files together; no file is written then.

    Example:
        >>> prepare_arcade("arcade", "prepared/vessels", task="vessels")
        PosixPath('prepared/vessels/datalist.json')
    """
    if task not in TASKS:
        raise ValueError(f"task: expected one of {sorted(TASKS)}, found {task!r}")
    subfolder, categories, class_names = TASKS[task]
    root, out = _task_folder(Path(source).resolve(), subfolder), Path(out)
    present = [split for split in SPLITS if (root / split).is_dir()]

    errors = ErrorList()
    warnings = [f"{root / split}: expected a folder, found none" for split in SPLITS if split not in present]
    images = [
        (split, image)
        for split in present
        for image in read_annotations(root / split, split, categories, errors, warnings)
    ]
    signatures: list[ImageSignature] = []
    for index, (_, image) in enumerate(images):
        if signature := _check_image(image, errors):
            signatures.append(signature)
        if progress:
            progress(index + 1, len(images))
    errors.raise_if_any()

    groups = duplicate_groups(signatures)
    last: dict[str, str] = {}  # SPLITS is ordered, so the last split that has an image wins.
    for split in SPLITS:
        last.update({name: split for (own, _), name in zip(images, groups, strict=True) if own == split})
    splits: dict[str, list[dict[str, Any]]] = {ours: [] for ours in SPLITS.values()}
    for (split, image), signature, group in zip(images, signatures, groups, strict=True):
        if last[group] != split:
            warnings.append(f"{image.path}: left out of {split}: a copy of it is in {last[group]}")
            continue
        if not image.polygons and task != "stenosis":
            warnings.append(f"{image.path}: left out: it has no annotation")
            continue
        label = out / "labels" / split / _label_name(image.name)
        _write_label(label, image, task)
        entry: dict[str, Any] = {
            "image": str(image.path),
            "label": str(label),
            "case_id": f"arcade-{group[:12]}",
            "pixel_hash": signature.pixel_hash,
            "view": None,
            "pixel_spacing_mm": None,
            "modality": "XA",
        }
        if task == "stenosis":
            entry["lesions"] = stenosis_lesions(image)
            if not image.polygons:
                warnings.append(f"{image.path}: kept as an image without lesions: it has no annotation")
        splits[SPLITS[split]].append(entry)
    if not any(splits.values()):
        raise ValueError(f"{root}: expected annotated images, found none with an annotation")
    return write_datalist(
        out / "datalist.json",
        name=f"arcade_{task}",
        task=task,
        class_names=class_names,
        splits=splits,
        warnings=warnings,
    )
