"""Write prompted masks of an image or a volume, a picture of them and a record of how they were made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import regionprops
from skimage.util import montage

from monai_lora_sam.files import atomic_write, printable
from monai_lora_sam.images import Volume, write_label_volume
from monai_lora_sam.networks import StageNetwork
from monai_lora_sam.prompting.draw_objects import draw_objects
from monai_lora_sam.prompting.segment_image import SegmentedObject
from monai_lora_sam.report import png

FORM = "segmentation/1"
MASK, LABELS, OVERLAY, RECORD = "mask.png", "mask.nii.gz", "overlay.png", "segmentation.json"
#: Most slices that the picture of a volume shows.
SHOWN_SLICES = 12


def made_by(image: str, network: StageNetwork) -> dict[str, Any]:
    """Return the entries of a record that say from which image and by which network masks were made."""
    encoder = network.stack.encoder
    return {
        "image": printable(image),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "adapters": list(network.adapters),
        "input_size": encoder.image_size,
    }


def write_objects(
    folder: str | Path,
    pixels: np.ndarray,
    objects: Sequence[SegmentedObject],
    made_by: Mapping[str, Any],
    overlay: bool = True,
) -> list[Path]:
    """Write `mask.png` (0/255), `overlay.png` and `segmentation.json`; several objects get a mask each besides.

    Files of these names in the folder are replaced; others stay.

    Args:
        folder: made where missing.
        pixels: (H, W, 3), 0..1, the image.
        objects: masks (H, W). Their union is `mask.png`; each of several is `mask_1_left_kidney.png` and so on.
        made_by: entries for the record: image, encoder, adapters.
        overlay: write the picture of the masks, which takes most of the time.

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
    if overlay:
        files.append(_write_picture(folder / OVERLAY, draw_objects(pixels, objects)))
    records = [
        {"name": one.prompt.name, "mask": name, **_image_record(one)}
        for one, name in zip(objects, names, strict=True)
    ]
    files.append(
        _write_record(folder, {**made_by, "size_px": [pixels.shape[1], pixels.shape[0]], "objects": records})
    )
    return files


def write_volume_objects(
    folder: str | Path,
    volume: Volume,
    pixels: np.ndarray,
    objects: Sequence[SegmentedObject],
    made_by: Mapping[str, Any],
) -> list[Path]:
    """Write `mask.nii.gz`, `overlay.png` (some slices with the masks) and `segmentation.json`.

    The n-th object has the label n in `mask.nii.gz`, which lies on the volume in any viewer; where objects overlap the
    later one counts.

    Args:
        folder: made where missing.
        volume: as it was read.
        pixels: (H, W, D), 0..1, its intensities as the network saw them.
        objects: masks (H, W, D).
        made_by: entries for the record: image, encoder, adapters.

    Returns:
        The files, `mask.nii.gz` first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.zeros(pixels.shape, np.int32)
    for number, one in enumerate(objects, 1):
        labels[one.mask] = number
    write_label_volume(folder / LABELS, labels, volume)
    picture = _write_picture(folder / OVERLAY, _slices_picture(pixels, objects))
    height, width, depth = pixels.shape
    millilitres = float(np.prod(volume.spacing_mm)) / 1000
    records = [
        {"name": one.prompt.name, "label": number, **_volume_record(one, millilitres)}
        for number, one in enumerate(objects, 1)
    ]
    record = {**made_by, "size_px": [width, height, depth], "objects": records}
    return [folder / LABELS, picture, _write_record(folder, record)]


def _prompt_record(one: SegmentedObject) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if one.prompt.text is not None:
        record["text"] = one.prompt.text
    if one.prompt.box is not None:
        record["box_xyxy"] = list(one.prompt.box)
    if one.prompt.points:
        record["points_xy_label"] = [list(point) for point in one.prompt.points]
    if one.prompt.slice_index is not None:
        record["slice"] = one.prompt.slice_index
    return record


def _image_record(one: SegmentedObject) -> dict[str, Any]:
    record = _prompt_record(one)
    if one.presence is not None:
        record["presence"] = round(one.presence, 4)
    if one.predicted_iou is not None:
        record["predicted_iou"] = round(one.predicted_iou, 4)
    record["area_px"] = int(one.mask.sum())
    if one.mask.any():
        top, left, bottom, right = regionprops(one.mask.astype(np.uint8))[0].bbox
        record["mask_box_xyxy"] = [left, top, right, bottom]
    return record


def _volume_record(one: SegmentedObject, millilitres: float) -> dict[str, Any]:
    found = np.flatnonzero(one.mask.any((0, 1))).tolist()
    record = {**_prompt_record(one), "voxels": int(one.mask.sum())}
    record["volume_ml"] = round(record["voxels"] * millilitres, 4)
    return record | ({"first_slice": found[0], "last_slice": found[-1]} if found else {})


def _slices_picture(pixels: np.ndarray, objects: Sequence[SegmentedObject]) -> np.ndarray:
    """Draw equally spaced slices through all objects side by side, and each slice that was prompted.

    Without either the slices go through the volume.
    """
    occupied = np.flatnonzero(np.any([one.mask.any((0, 1)) for one in objects], axis=0))
    prompted = {one.prompt.slice_index for one in objects if one.prompt.slice_index is not None}
    whole = prompted or {0, pixels.shape[2] - 1}
    first, last = (occupied[0], occupied[-1]) if occupied.size else (min(whole), max(whole))
    places = set(np.linspace(first, last, SHOWN_SLICES).round().astype(int).tolist()) | prompted
    drawn = [
        draw_objects(
            np.repeat(pixels[..., index, None], 3, 2),
            [SegmentedObject(one.prompt, one.mask[..., index], None) for one in objects],
            index,
        )
        for index in sorted(places)
    ]
    return montage(np.stack(drawn), channel_axis=-1, grid_shape=(-(-len(drawn) // 4), min(4, len(drawn))))


def _write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    atomic_write(folder / RECORD, json.dumps({"form": FORM, **record}, indent=1, allow_nan=False) + "\n")
    return folder / RECORD


def _mask_name(number: int, one: SegmentedObject) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", one.prompt.name.lower()).strip("_")[:40]
    return f"mask_{number}{'_' + plain if plain else ''}.png"


def _write_picture(path: Path, picture: np.ndarray) -> Path:
    atomic_write(path, png(picture.astype(np.uint8) * 255 if picture.dtype == bool else picture))
    return path
