"""Write phantoms as a data set: pictures, masks, truth and a MONAI datalist."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.phantom.lesion_entries import lesion_entries
from monai_lora_sam.coronary.phantom.phantom import Phantom, PhantomConfig, generate_phantom
from monai_lora_sam.files import atomic_file, atomic_write

#: In the written truth centrelines keep every so many samples (0.4 mm each) and always both ends.
CENTRELINE_STRIDE = 4


def prepare_phantoms(
    out: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    validation_fraction: float = 0.1,
    progress: Callable[[int, int], None] | None = None,
    config: PhantomConfig | None = None,
) -> Path:
    """Write `count` phantoms under a folder and return the path of their datalist.

    Writes images/*.png, labels/*.png (0/1), segments/*.png (ARCADE category ids), truth/*.json and
    datalist.json. Every file appears whole, under a temporary name first, and the truth comes last: a phantom
    whose truth is there is complete and is not drawn again, so a killed run goes on where it stopped. The
    lesions that a picture shows are under `lesions` of its entry, see :func:`lesion_entries`; those outside what
    it shows are under `warnings`.

    Args:
        out: folder, made when missing.
        count: number of phantoms.
        seed: phantom i is that of the seed `seed · 1 000 003 + i`.
        validation_fraction: part of the phantoms in the validation list; the last ones.
        progress: called with (done, count) after each phantom.
        config: settings of the drawing.

    Raises:
        ValueError: for a count below 1, a fraction outside 0 to 1, or a folder that holds phantoms drawn with
            another configuration.

    Example:
        >>> datalist = prepare_phantoms("phantoms", count=200, seed=1)  # doctest: +SKIP
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1, found {count}")
    if not 0.0 <= validation_fraction < 1.0:
        raise ValueError(f"expected a validation_fraction from 0 to below 1, found {validation_fraction}")
    config = config or PhantomConfig()
    folder = Path(out)
    for name in ("images", "labels", "segments", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    entries, warnings = [], []
    for index in range(count):
        entry, hidden = _prepare_one(folder, seed * 1_000_003 + index, config)
        entries.append(entry)
        if hidden:
            warnings.append(f"{entry['image']}: {hidden} lesions lie outside the visible picture")
        if progress is not None:
            progress(index + 1, count)
    validation = round(validation_fraction * count)
    datalist = {
        "name": "phantoms",
        "task": "vessels",
        "class_names": ["background", "vessel"],
        "segment_class_names": ARCADE_CLASS_NAMES,
        "training": entries[: count - validation],
        "validation": entries[count - validation :],
        "test": [],
        "warnings": warnings,
    }
    path = folder / "datalist.json"
    atomic_write(path, json.dumps(datalist, indent=1))
    return path


def _prepare_one(folder: Path, seed: int, config: PhantomConfig) -> tuple[dict[str, Any], int]:
    """Draw a phantom unless it is there; return its entry and how many of its lesions are not seen."""
    stem = f"phantom_{seed:09d}"
    truth_path = folder / "truth" / f"{stem}.json"
    if truth_path.exists():
        truth = json.loads(truth_path.read_text())
        # A configuration of an older version lacks what was not drawn then.
        if {**config_json(PhantomConfig()), **truth["config"]} != config_json(config):
            raise ValueError(
                f"{truth_path}: expected a phantom of {config_json(config)}, found {truth['config']}; "
                "choose an empty folder"
            )
    else:
        phantom = generate_phantom(seed, config)
        _write_png(folder / "images" / f"{stem}.png", phantom.image)
        _write_png(folder / "labels" / f"{stem}.png", phantom.vessel_mask.astype(np.uint8))
        _write_png(folder / "segments" / f"{stem}.png", phantom.segment_mask)
        truth = truth_json(phantom, config)
        atomic_write(truth_path, json.dumps(truth))
    with Image.open(folder / "labels" / f"{stem}.png") as label:
        lesions, hidden = lesion_entries(truth, np.asarray(label))
    entry = {
        "image": f"images/{stem}.png",
        "label": f"labels/{stem}.png",
        "segments": f"segments/{stem}.png",
        "truth": f"truth/{stem}.json",
        "case_id": stem,
        "view": truth["view"],
        "pixel_spacing_mm": truth["pixel_spacing_mm"],
        "modality": "XA",
        "lesions": lesions,
    }
    return entry, hidden


def config_json(config: PhantomConfig) -> dict[str, Any]:
    """Return a configuration as plain JSON values."""
    return json.loads(json.dumps(vars(config)))


def truth_json(phantom: Phantom, config: PhantomConfig) -> dict[str, Any]:
    """Return the truth of a phantom as plain JSON values; points are (x, y) = (column, row)."""

    def rounded(values: np.ndarray) -> list[Any]:
        return np.round(values, 3).tolist()

    lines = []
    for line in phantom.centrelines:
        keep = np.unique(
            np.append(np.arange(0, len(line.depth_mm), CENTRELINE_STRIDE), len(line.depth_mm) - 1)
        )
        lines.append(
            {
                "segment": line.segment.value,
                "points_xy_px": rounded(line.points_rc_px[keep, ::-1]),
                "depth_mm": rounded(line.depth_mm[keep]),
                "diameter_mm": rounded(line.diameter_mm[keep]),
                "reference_diameter_mm": rounded(line.reference_diameter_mm[keep]),
                "diameter_px": rounded(line.diameter_px[keep]),
            }
        )
    lesions = []
    for lesion in phantom.lesions:
        (row, column), (top, left, bottom, right) = lesion.centre_rc_px, lesion.box_rc_px
        lesions.append(
            {
                "segment": lesion.segment.value,
                "percent_diameter_stenosis": lesion.percent_diameter_stenosis,
                "minimum_lumen_diameter_mm": lesion.minimum_lumen_diameter_mm,
                "minimum_lumen_diameter_px": lesion.minimum_lumen_diameter_px,
                "reference_diameter_mm": lesion.reference_diameter_mm,
                "length_mm": lesion.length_mm,
                "centre_xy_px": [column, row],
                "box_xyxy_px": [left, top, right, bottom],
            }
        )
    return {
        "seed": phantom.seed,
        "side": phantom.side,
        "dominance": phantom.dominance.value,
        "view": list(phantom.view),
        "pixel_spacing_mm": phantom.pixel_spacing_mm,
        "source_detector_mm": phantom.arm.source_detector_mm,
        "source_patient_mm": phantom.arm.source_patient_mm,
        "imager_spacing_mm": phantom.arm.imager_spacing_mm,
        "centrelines": lines,
        "lesions": lesions,
        "config": config_json(config),
    }


def _write_png(path: Path, pixels: np.ndarray) -> None:
    with atomic_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
