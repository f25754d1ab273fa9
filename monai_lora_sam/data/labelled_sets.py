"""Prepare public labelled data sets by modality, with cases that no training of this project sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_lora_sam.data.cosmos import prepare_cosmos
from monai_lora_sam.data.datalist import SPLITS, read_datalist
from monai_lora_sam.data.decathlon import prepare_decathlon
from monai_lora_sam.data.splits import split_by_case
from monai_lora_sam.data.volume_slices import SliceSettings

#: Shares of the cases of each set.
SHARES = {"training": 0.6, "validation": 0.1, "test": 0.3}
#: Fewest pixels of an object of the hippocampus, whose slices have about 35 by 50.
SMALLEST = 20


def labelled_sets(
    data: str | Path, out: str | Path, per_volume: int = 5
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Prepare COSMOS-1050K's images and the Decathlon's hippocampus, and split each set by case.

    The split depends on the names of the cases alone. Networks that several trainings make are therefore scored on
    cases that none of them saw.

    Args:
        data: folder with `cosmos` and `msd_hippocampus` in their published layouts.
        out: folder for the datalists and the slices of the volumes.
        per_volume: slices of each volume of the hippocampus.

    Returns:
        entries by set (COSMOS-1050K's modalities such as ``CT``, and ``hippocampus``) and by split.

    Raises:
        DatasetError, ValueError: data that are missing, damaged or too few to split.

    Example:
        >>> labelled_sets("data", "runs/data")["US"]["test"]  # doctest: +SKIP
    """
    data, out = Path(data), Path(out)
    settings = SliceSettings(per_volume=per_volume, smallest=SMALLEST)
    sets: dict[str, list[dict[str, Any]]] = {}
    for entry in _all(prepare_cosmos(data / "cosmos", out / "cosmos")):
        sets.setdefault(str(entry["modality"]), []).append(entry)
    hippocampus = prepare_decathlon(data / "msd_hippocampus", out / "hippocampus", settings=settings)
    sets["hippocampus"] = _all(hippocampus)
    return {name: split_by_case(entries, SHARES, 0) for name, entries in sets.items()}


def _all(datalist: Path) -> list[dict[str, Any]]:
    content = read_datalist(datalist)
    return [entry for split in SPLITS for entry in content[split] or []]
