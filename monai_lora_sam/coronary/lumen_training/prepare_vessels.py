"""Prepare straightened vessels of phantoms with their true diameters."""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.lumen_training.measured_vessel import (
    MeasuredVessel,
    measure_vessels,
    read_vessels,
    write_vessels,
)
from monai_lora_sam.coronary.lumen_training.phantoms import stage_folders, training_phantoms, version_of
from monai_lora_sam.coronary.lumen_training.true_diameters import TrueDiameters
from monai_lora_sam.coronary.pipeline import CoronaryPipeline
from monai_lora_sam.coronary.stages import SHIPPED_REFINER


def prepare_vessels(
    folder: str | Path, count: int = 1200, held_out: int = 60, seed: int = 10, progress: bool = False
) -> dict[str, list[MeasuredVessel]]:
    """Draw phantoms and straighten their vessels by each shipped vessel stage and the refiner, where missing.

    Args:
        folder: of phantoms and vessels.
        count: number of phantoms to train on.
        held_out: number of further phantoms to validate on.
        seed: of the phantoms. Take another one than for the refiner: its maps are better on its own phantoms.
        progress: show bars.

    Returns:
        The vessels under `training` and `validation`.

    Raises:
        ValueError: if one of the numbers is below 1, or the folder holds other phantoms.

    Example:
        >>> len(prepare_vessels("phantoms", count=4, held_out=2)["training"])  # doctest: +SKIP
    """
    folder = Path(folder)
    splits = training_phantoms(folder, count, held_out, seed, progress)
    stages = stage_folders()
    pipelines = [CoronaryPipeline(stage, diameter_network=None, device="cpu") for stage in stages.values()]
    versions = "_".join(version_of(network) for network in (*stages.values(), SHIPPED_REFINER))
    found: dict[str, list[MeasuredVessel]] = {}
    with tqdm(total=count + held_out, desc="vessels", disable=not progress) as bar:
        for split, entries in splits.items():
            found[split] = []
            for entry in entries:
                path = folder / f"vessels_{versions}" / f"{entry['case_id']}.npz"
                if not path.is_file():
                    truth = TrueDiameters(json.loads(Path(entry["truth"]).read_text(encoding="utf-8")))
                    angiogram = read_angiogram(entry["image"])
                    write_vessels(
                        path,
                        [
                            one
                            for pipeline in pipelines
                            for one in measure_vessels(pipeline, angiogram, truth)
                        ],
                    )
                found[split] += read_vessels(path)
                bar.update()
    return found
