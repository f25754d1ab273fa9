"""Prepare phantoms with the vessel maps of the shipped stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.lumen_training.phantoms import stage_folders, training_phantoms, version_of
from monai_lora_sam.coronary.pipeline import CoronaryPipeline
from monai_lora_sam.files import atomic_file


def prepare_maps(
    folder: str | Path, count: int = 1200, held_out: int = 60, seed: int = 21, progress: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Draw phantoms and write the map of each shipped vessel stage for them, where they are missing.

    Args:
        folder: of phantoms and maps.
        count: number of phantoms to train on.
        held_out: number of further phantoms to validate on.
        seed: of the phantoms.
        progress: show bars.

    Returns:
        The entries of a datalist under `training` and `validation`, each with its `maps`: paths by stage.

    Raises:
        ValueError: if one of the numbers is below 1, or the folder holds other phantoms.

    Example:
        >>> prepare_maps("phantoms", count=4, held_out=2)["training"][0]["maps"]  # doctest: +SKIP
    """
    folder = Path(folder)
    splits = training_phantoms(folder, count, held_out, seed, progress)
    stages = stage_folders()
    pipelines = {
        name: CoronaryPipeline(stage, refiner=None, diameter_network=None, device="cpu")
        for name, stage in stages.items()
    }
    entries = [entry for split in splits.values() for entry in split]
    for entry in tqdm(entries, desc="vessel maps", disable=not progress):
        entry["maps"] = {}
        for name, pipeline in pipelines.items():
            path = folder / "maps" / f"{name}_{version_of(stages[name])}" / f"{entry['case_id']}.png"
            entry["maps"][name] = str(path)
            if not path.is_file():
                probability = pipeline.probability(read_angiogram(entry["image"]))
                with atomic_file(path) as temporary:
                    Image.fromarray(np.round(probability * 255).astype(np.uint8)).save(
                        temporary, format="PNG"
                    )
    return splits
