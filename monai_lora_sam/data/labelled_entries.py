"""Read the labelled images of one or several datalists, whatever their objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.data.datalist import read_datalist
from monai_lora_sam.data.dataset_errors import ErrorList

KEPT = ("image", "label", "case_id", "pixel_hash", "modality", "objects", "dataset")


def labelled_entries(datalists: str | Path | Sequence[str | Path], split: str) -> list[dict[str, Any]]:
    """Return the entries of a split of datalists of any tasks; an image that several of them list comes once.

    Args:
        datalists: one or several.
        split: ``training``, ``validation`` or ``test``.

    Returns:
        entries with `image`, `label` and, where known, `case_id`, `pixel_hash`, `modality`, `objects`, `dataset`.
        `file` is the label again, for messages after it has been loaded.

    Raises:
        DatasetError: all images without a label together.
        FileNotFoundError, ValueError: a missing or damaged datalist, or no image in the split.

    Example:
        >>> labelled_entries(["liver/datalist.json", "kidney/datalist.json"], "training")  # doctest: +SKIP
    """
    paths = [datalists] if isinstance(datalists, str | Path) else list(datalists)
    errors = ErrorList()
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        for entry in read_datalist(path)[split]:
            if entry.get("label") is None:
                errors.add(entry["image"], f"expected a label in {path}, found none")
                continue
            kept = {key: entry[key] for key in KEPT if entry.get(key) is not None}
            found[entry["image"]] = {**kept, "file": entry["label"]}
    errors.raise_if_any()
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: expected images under {split!r}, found none")
    return list(found.values())


def object_names(datalists: str | Path | Sequence[str | Path]) -> list[str]:
    """Return the names of the objects of datalists, in their order, each once.

    Example:
        >>> object_names("liver/datalist.json")  # doctest: +SKIP
        ['liver', 'tumour']
    """
    paths = [datalists] if isinstance(datalists, str | Path) else list(datalists)
    return list(
        dict.fromkeys(name for path in paths for name in (read_datalist(path).get("class_names") or [])[1:])
    )


def modality_of(entries: Sequence[dict[str, Any]]) -> str:
    """Return the modality of entries, or all of theirs joined by commas; "" where none tells it.

    Example:
        >>> modality_of([{"image": "a.png", "modality": "CT"}, {"image": "b.png", "modality": None}])
        'CT'
    """
    return ",".join(sorted({entry["modality"] for entry in entries if entry.get("modality")}))
