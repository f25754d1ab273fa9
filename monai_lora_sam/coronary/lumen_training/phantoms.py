"""Draw the phantoms from which the lumen networks learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_lora_sam.coronary.data import read_split
from monai_lora_sam.coronary.phantom import MEASUREMENT_CONFIG, prepare_phantoms
from monai_lora_sam.coronary.stages import SHIPPED

#: Shipped vessel stages whose maps the networks learn to read.
STAGES = ("vessels", "vessels_phantom")


def training_phantoms(
    folder: Path, count: int, held_out: int, seed: int, progress: bool
) -> dict[str, list[dict[str, Any]]]:
    """Draw phantoms with stenoses at all spacings and noise levels where they are missing; return their entries.

    Args:
        folder: of the phantoms.
        count: number of phantoms under `training`.
        held_out: number of further phantoms under `validation`.
        seed: of the phantoms.
        progress: show a bar.

    Raises:
        ValueError: if one of the numbers is below 1.
    """
    if min(count, held_out) < 1:
        raise ValueError(
            f"phantoms: expected 1 or more to train on and held out, found {count} and {held_out}"
        )
    total = count + held_out
    with tqdm(total=total, desc="phantoms", disable=not progress) as bar:
        path = prepare_phantoms(
            folder, total, seed, held_out / total, lambda *_: bar.update(), MEASUREMENT_CONFIG
        )
    return {split: read_split(path, split) for split in ("training", "validation")}


def version_of(folder: Path) -> str:
    """Return eight digits of a shipped network's digest: data made by other weights lie elsewhere."""
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))["digest"][:8]


def stage_folders() -> dict[str, Path]:
    """Return the folders of the stages whose maps are used."""
    return {name: SHIPPED / name for name in STAGES}
