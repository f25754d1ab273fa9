"""Refuse data sets whose splits share a case or a picture."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.data.datalist import SPLITS


def _file_marks(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield each file's real path and its SHA-256; empty files and those of a size of their own are not read."""
    sizes = [path.stat().st_size if path.is_file() else -1 for path in paths]
    count = Counter(sizes)
    for path, size in zip(paths, sizes, strict=True):
        if size <= 0 or count[size] == 1:
            yield os.path.realpath(path), ""
        else:
            with path.open("rb") as file:
                yield os.path.realpath(path), hashlib.file_digest(file, "sha256").hexdigest()


def check_splits(splits: Mapping[str, Any], name: str | Path = "datalist") -> None:
    """Refuse a datalist in which two splits share a case, an image file or a picture.

    Splits share a picture when the bytes of two files are equal, or the `pixel_hash` of two entries.

    Args:
        splits: a datalist as `read_datalist` returns it, or its lists of entries under "training", "validation",
            "test"; other keys are passed over.
        name: of the datalist, which starts the message.

    Raises:
        ValueError: with the number of shared entries and the first pair.

    Example:
        >>> a, b = {"image": "a.png", "case_id": "A"}, {"image": "b.png", "case_id": "A"}
        >>> check_splits({"training": [a], "validation": [b]}, "mine.json")
        Traceback (most recent call last):
        ValueError: mine.json: expected no case or picture in two splits, found 1: ...
    """
    owners = [
        (split, index, entry) for split in SPLITS for index, entry in enumerate(splits.get(split) or [])
    ]
    files = _file_marks([Path(entry["image"]) for _, _, entry in owners])
    first: dict[tuple[str, str], tuple[str, int]] = {}
    shared: dict[tuple[str, int], str] = {}
    for (split, index, entry), (path, digest) in zip(owners, files, strict=True):
        marks = {"case_id": entry.get("case_id"), "image": path, "content": digest}
        marks["pixel_hash"] = entry.get("pixel_hash")
        for key, value in marks.items():
            if value in (None, ""):
                continue
            owner, position = first.setdefault((key, str(value)), (split, index))
            if owner != split:
                text = f"{owner}[{position}] and {split}[{index}] have the {key} {str(value)!r}"
                shared.setdefault((split, index), text)
    if shared:
        raise ValueError(
            f"{name}: expected no case or picture in two splits, found {len(shared)}: "
            f"{next(iter(shared.values()))}"
        )
