"""Choose a part of the training images."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
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
