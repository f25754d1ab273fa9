"""Read the images of one or several datalists for distillation, labelled or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.data import read_datalist

KEPT = ("image", "label", "case_id", "pixel_hash")


def distillation_entries(datalists: str | Path | Sequence[str | Path], split: str) -> list[dict[str, Any]]:
    """Return the entries of a split of datalists of any tasks; an image that several of them list comes once.

    Of an image that one datalist labels and another does not, the labelled entry is kept. A datalist that is given
    twice counts twice, so that a small data set is not lost beside a large one.

    Args:
        datalists: one or several.
        split: ``training``, ``validation`` or ``test``.

    Raises:
        FileNotFoundError, ValueError: a missing or damaged datalist, or no image in the split.

    Example:
        >>> distillation_entries(["unlabelled/datalist.json", "liver/datalist.json"], "training")  # doctest: +SKIP
    """
    paths = [datalists] if isinstance(datalists, str | Path) else list(datalists)
    found: dict[str, dict[str, Any]] = {}
    times: dict[str, int] = {}
    for path in dict.fromkeys(paths):
        for entry in read_datalist(path)[split]:
            kept = {key: entry[key] for key in KEPT if entry.get(key) is not None}
            if "label" in kept or entry["image"] not in found:
                found[entry["image"]] = kept
            times[entry["image"]] = max(times.get(entry["image"], 0), paths.count(path))
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: expected images under {split!r}, found none")
    return [entry for image, entry in found.items() for _ in range(times[image])]
