"""Choose training images, and keep them apart from those of the validation."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def first_entries(entries: Sequence[dict[str, Any]], limit: int | None, seed: int) -> list[dict[str, Any]]:
    """Return the first entries of a seeded shuffle, in their old order; all of them where there is no limit.

    Entries of one `case_id` stay together in the shuffle.

    Raises:
        ValueError: fewer entries than the limit.

    Example:
        >>> len(first_entries([{"image": str(n)} for n in range(9)], 4, seed=0))
        4
    """
    if limit is None:
        return list(entries)
    if limit > len(entries):
        raise ValueError(f"limit: expected at most {len(entries)}, the number of images, found {limit}")
    cases = defaultdict(list)
    for index, entry in enumerate(entries):
        cases[str(entry.get("case_id") or f"image {entry['image']}")].append(index)
    names = sorted(cases)
    random.Random(seed).shuffle(names)
    chosen = sorted([index for name in names for index in cases[name]][:limit])
    return [entries[index] for index in chosen]


def check_separate(training: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]]) -> None:
    """Check that no image, under any name, and no case serves both training and validation.

    Raises:
        ValueError: some do; they are named.
    """
    shared: list[str] = []
    known = {str(e["case_id"]) for e in training if e.get("case_id") not in (None, "")}
    shared += [f"case {name}" for name in sorted(known & {str(e.get("case_id")) for e in validation})]
    first = {str(Path(e["image"]).resolve()) for e in training}
    second = {str(Path(e["image"]).resolve()) for e in validation}
    shared += sorted(first & second)
    sizes = defaultdict(list)
    for path in sorted(first - second):
        sizes[_size(path)].append(path)
    alike = [path for path in sorted(second - first) if _size(path) in sizes]
    hashes = {_digest(path): path for size in {_size(path) for path in alike} for path in sizes[size]}
    shared += [f"{hashes[d]} (the same as {path})" for path in alike if (d := _digest(path)) in hashes]
    if shared:
        shown = ", ".join(shared[:5]) + (f" and {len(shared) - 5} more" if len(shared) > 5 else "")
        raise ValueError(
            f"datalist: expected other images and cases in validation than in training, found {shown}"
        )


def _size(path: str) -> int:
    return Path(path).stat().st_size


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
