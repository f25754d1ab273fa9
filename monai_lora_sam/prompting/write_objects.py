"""Write prompted masks, a picture of them and a record of how they were made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import regionprops

from monai_lora_sam.files import atomic_write
from monai_lora_sam.prompting.draw_objects import draw_objects
from monai_lora_sam.prompting.segment_image import SegmentedObject
from monai_lora_sam.report import png

FORM = "segmentation/1"
MASK, OVERLAY, RECORD = "mask.png", "overlay.png", "segmentation.json"


def write_objects(
    folder: str | Path,
    pixels: np.ndarray,
    objects: Sequence[SegmentedObject],
    made_by: Mapping[str, Any],
) -> list[Path]:
    """Write `mask.png` (0/255), `overlay.png` and `segmentation.json`; several objects get a mask each besides.

    Files of these names in the folder are replaced; others stay.

    Args:
        folder: made where missing.
        pixels: (H, W, 3), 0..1, the image.
        objects: masks (H, W). Their union is `mask.png`; each of several is `mask_1_left_kidney.png` and so on.
        made_by: entries for the record: image, encoder, adapters.

    Returns:
        The files, `mask.png` first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    union = np.any([one.mask for one in objects], axis=0)
    files = [_write_picture(folder / MASK, union)]
    names = [MASK] if len(objects) == 1 else [_mask_name(n, one) for n, one in enumerate(objects, 1)]
    if len(objects) > 1:
        files += [_write_picture(folder / name, one.mask) for name, one in zip(names, objects, strict=True)]
    files.append(_write_picture(folder / OVERLAY, draw_objects(pixels, objects)))
    record = {
        "form": FORM,
        **made_by,
        "size_px": [pixels.shape[1], pixels.shape[0]],
        "objects": [object_record(one, name) for one, name in zip(objects, names, strict=True)],
    }
    files.append(folder / RECORD)
    atomic_write(files[-1], json.dumps(record, indent=1, allow_nan=False) + "\n")
    return files


def object_record(one: SegmentedObject, mask_file: str) -> dict[str, Any]:
    """Return an object's prompts, size and place in the words of the record."""
    record: dict[str, Any] = {"name": one.prompt.name, "mask": mask_file}
    if one.prompt.box is not None:
        record["box_xyxy"] = list(one.prompt.box)
    if one.prompt.points:
        record["points_xy_label"] = [list(point) for point in one.prompt.points]
    record["predicted_iou"] = round(one.predicted_iou, 4)
    record["area_px"] = int(one.mask.sum())
    if one.mask.any():
        top, left, bottom, right = regionprops(one.mask.astype(np.uint8))[0].bbox
        record["mask_box_xyxy"] = [left, top, right, bottom]
    return record


def _mask_name(number: int, one: SegmentedObject) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", one.prompt.name.lower()).strip("_")[:40]
    return f"mask_{number}{'_' + plain if plain else ''}.png"


def _write_picture(path: Path, picture: np.ndarray) -> Path:
    atomic_write(path, png(picture.astype(np.uint8) * 255 if picture.dtype == bool else picture))
    return path
