"""Score a promptable network on every object of a datalist, image by image, resumable."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from monai_lora_sam.adapters import tensors_fingerprint
from monai_lora_sam.evaluation.labelled_objects import SMALLEST_OBJECT, LabelledObject, labelled_objects
from monai_lora_sam.evaluation.prompt_modes import CHOICES, MODES, PROMPT_MODES, answers
from monai_lora_sam.files import atomic_file, atomic_write, read_json
from monai_lora_sam.images import read_colour_image, read_image, to_unit_by_percentiles
from monai_lora_sam.metrics import OBJECT_SCORES, object_scores
from monai_lora_sam.networks import PromptableSegmenter, feature_identity
from monai_lora_sam.transforms import NormalizeForEncoderd

#: Columns of the table that describe the object, then its answer.
OBJECT_FIELDS = ("image", "dataset", "modality", "case_id", "object", "area_px", "mode", "choice")
FIELDS = (*OBJECT_FIELDS, *OBJECT_SCORES, "predicted_iou", "empty")
#: Percentiles of COSMOS-1050K's own intensity step.
COSMOS_PERCENTILES = (0.95, 99.5)
#: The answer whose masks are kept for pictures.
KEPT_MODE, KEPT_CHOICE = "box", "single"


@dataclass
class PromptedEvaluation:
    """Hold the scores of all objects.

    Attributes:
        rows: one for each object, mode and choice, with the keys `FIELDS`.
        too_small: number of objects left out for their size.
        without_objects: number of images in which no object is left.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    too_small: int = 0
    without_objects: int = 0


def evaluate_prompts(
    network: PromptableSegmenter,
    entries: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    out: str | Path,
    *,
    modes: Sequence[str] = MODES,
    seed: int = 0,
    smallest: int = SMALLEST_OBJECT,
    clip_percentiles: bool = False,
    colour: bool = False,
    progress: Callable[[], Any] = lambda: None,
) -> PromptedEvaluation:
    """Segment every object by every kind of prompt and score the masks.

    Rows are appended to `scores.csv` after each image. A second run with the same settings goes on where the first
    ended.

    Args:
        network: on its device; it is put into evaluation mode.
        entries: of a datalist, as :func:`labelled_objects` reads them.
        class_names: of the datalist.
        out: folder for `scores.csv`, `settings.json` and `masks/`, those of the tight box.
        modes: kinds of prompt, of `MODES`.
        seed: of the random prompts, drawn for each object apart.
        smallest: fewest pixels of an object that counts.
        clip_percentiles: take COSMOS-1050K's intensity step first: clip to the 0.95 and 99.5 percentiles.
        colour: show the network an image's colours rather than its luminance.
        progress: called after each image.

    Raises:
        ValueError: an unknown mode, unreadable images or labels, or a folder with scores of other settings.

    Example:
        >>> evaluation = evaluate_prompts(network, entries, names, "runs/prompts")  # doctest: +SKIP
    """
    if not modes or (unknown := [mode for mode in modes if mode not in MODES]):
        raise ValueError(
            f"modes: expected some of {', '.join(MODES)}, found {', '.join(unknown) if modes else 'none'}"
        )
    out = Path(out)
    table = out / "scores.csv"
    settings = {
        # All weights of the head: its state has only those that are trained.
        "network": {
            **feature_identity(network),
            "head": tensors_fingerprint(dict(network.head.named_parameters())),
        },
        "modes": [mode for mode in MODES if mode in modes],
        "seed": seed,
        "smallest": smallest,
        "clip_percentiles": clip_percentiles,
        **({"colour": True} if colour else {}),
    }
    done = _resume(out, settings)
    device = next(network.parameters()).device
    normalise = NormalizeForEncoderd(keys="image", encoder=network.stack.encoder)
    network.eval()
    result = PromptedEvaluation()
    for entry in entries:
        objects, too_small = labelled_objects(entry, class_names, smallest)
        result.too_small += too_small
        result.without_objects += not objects
        rows = done.get(entry["image"], [])
        if objects and {row["object"] for row in rows} != {thing.name for thing in objects}:
            pixels = (
                read_colour_image(entry["image"]).pixels
                if colour
                else read_image(entry["image"]).pixels[..., None]
            )
            if pixels.shape[:2] != objects[0].mask.shape:
                raise ValueError(
                    f"{entry['label']}: expected {pixels.shape[:2]} as its image, found {objects[0].mask.shape}"
                )
            if clip_percentiles:
                pixels = to_unit_by_percentiles(pixels, *COSMOS_PERCENTILES)
            channels = torch.from_numpy(pixels).permute(2, 0, 1).expand(3, -1, -1)
            image = normalise({"image": channels})["image"]
            with torch.inference_mode():
                rows = _score_image(network, image[None].to(device), entry, objects, modes, seed, out)
            _append(table, rows)
        result.rows.extend(rows)
        progress()
    return result


def _score_image(
    network: PromptableSegmenter,
    image: torch.Tensor,
    entry: Mapping[str, Any],
    objects: Sequence[LabelledObject],
    modes: Sequence[str],
    seed: int,
    out: Path,
) -> list[dict[str, Any]]:
    """Return the rows of one image (1, 3, H, W)."""
    truths = [thing.mask for thing in objects]
    # By names, so that an object's prompts do not depend on the images before it.
    generators = [
        np.random.default_rng(
            [seed, *hashlib.sha256(f"{Path(entry['image']).name}/{thing.name}".encode()).digest()]
        )
        for thing in objects
    ]
    rows = []
    for answer in answers(network, network.encode(image), truths, generators, modes):
        thing = objects[answer.number]
        scores = object_scores(answer.mask, thing.mask)
        rows.append(
            {
                "image": entry["image"],
                "dataset": entry.get("dataset") or "",
                "modality": entry.get("modality") or "",
                "case_id": entry.get("case_id") or "",
                "object": thing.name,
                "area_px": int(thing.mask.sum()),
                "mode": answer.mode,
                "choice": answer.choice,
                **{name: round(score, 5) for name, score in scores.items()},
                "predicted_iou": round(answer.predicted_iou, 5),
                "empty": int(not answer.mask.any()),
            }
        )
        if (answer.mode, answer.choice) == (KEPT_MODE, KEPT_CHOICE):
            path = mask_file(out, rows[-1])
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as temporary:
                Image.fromarray(answer.mask).save(temporary, format="PNG")
    return rows


def mask_file(out: Path, row: Mapping[str, Any]) -> Path:
    """Return the file of an object's mask for the tight box."""
    name = hashlib.sha256(f"{row['image']}/{row['object']}".encode()).hexdigest()[:16]
    return Path(out) / "masks" / f"{name}.png"


def read_scores(table: Path) -> list[dict[str, Any]]:
    """Read a table of scores; a last line that was cut off is left out."""
    if not table.is_file():
        return []
    rows = []
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if tuple(row) != FIELDS or None in row.values():
                continue
            numbers: dict[str, Any] = {name: float(row[name]) for name in (*OBJECT_SCORES, "predicted_iou")}
            rows.append({**row, **numbers, "area_px": int(row["area_px"]), "empty": int(row["empty"])})
    return rows


def _resume(out: Path, settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of images that are finished, and drop those of others from the table."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / "settings.json").is_file():
        found = read_json(out / "settings.json")
        other = [f"{key} {value!r:.80}" for key, value in found.items() if settings.get(key) != value]
        if other:
            raise ValueError(
                f"{out}: expected scores of the same settings or an empty folder, found {', '.join(other)}"
            )
    atomic_write(out / "settings.json", json.dumps(settings, indent=1))
    rows = read_scores(out / "scores.csv")
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_image[row["image"]].append(row)
    expected = sum(len(CHOICES) if mode in PROMPT_MODES else 1 for mode in settings["modes"])
    whole = {
        image: own
        for image, own in by_image.items()
        if len(own) == expected * len({row["object"] for row in own})
    }
    text = io.StringIO()
    csv.DictWriter(text, FIELDS, lineterminator="\n").writeheader()
    _write_rows(text, [row for own in whole.values() for row in own])
    atomic_write(out / "scores.csv", text.getvalue())
    return whole


def _append(table: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a table at once."""
    text = io.StringIO()
    _write_rows(text, rows)
    with table.open("a", newline="", encoding="utf-8") as file:
        file.write(text.getvalue())


def _write_rows(file: io.StringIO, rows: Sequence[Mapping[str, Any]]) -> None:
    csv.DictWriter(file, FIELDS, lineterminator="\n").writerows(rows)
