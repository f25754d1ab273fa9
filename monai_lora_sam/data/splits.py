"""Split the entries of a datalist by case."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from monai_lora_sam.data.duplicates import pixel_hash
from monai_lora_sam.images import read_image


def group_cases(entries: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Group entries that must stay together: those of equal `case_id` or equal pixels.

    Entries without a `case_id` are cases of their own. Equal pixels are found by `pixel_hash`, taken from the entry
    or, where absent, computed from its image. Re-encoded duplicates already share a `case_id` in the entries of
    `datalist_from_folders`.

    Returns:
        lists of indices into `entries`.
    """
    parent = list(range(len(entries)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(entries):
        marks = [("pixels", entry.get("pixel_hash") or pixel_hash(read_image(entry["image"]).pixels))]
        if entry.get("case_id") is not None:
            marks.append(("case", str(entry["case_id"])))
        for mark in marks:
            parent[root(index)] = root(first.setdefault(mark, index))
    groups: dict[int, list[int]] = {}
    for index in range(len(entries)):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def shuffled_cases(entries: Sequence[Mapping[str, Any]], seed: int) -> list[list[int]]:
    """Return the groups of :func:`group_cases` in an order that depends on the seed and the names of the cases alone.

    The order of the entries does not matter.
    """

    def order(group: list[int]) -> str:
        names = sorted(
            str(entries[i].get("case_id") or entries[i].get("pixel_hash") or entries[i]["image"])
            for i in group
        )
        return hashlib.sha256(f"{seed}/{names[0]}".encode()).hexdigest()

    return sorted(group_cases(entries), key=order)


def split_by_case(
    entries: Sequence[dict[str, Any]], fractions: Mapping[str, float], seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Split entries into named parts; a case, and duplicates of one image, stay in one part.

    Cases are shuffled by a hash of the seed and their own name, so the result does not depend on the order of the
    entries. Then each case, the largest first, joins the part that is furthest below its share. No part with a share
    stays empty.

    Args:
        entries: datalist entries with `image` and, where known, `case_id` and `pixel_hash`.
        fractions: part → share of the entries; the shares sum to 1.
        seed: another seed gives another split.

    Returns:
        part → its entries, in the order given.

    Raises:
        ValueError: shares that are negative or do not sum to 1, or fewer cases than parts.

    Example:
        >>> parts = split_by_case(entries, {"training": 0.8, "validation": 0.2}, seed=0)
        >>> len(parts["training"]), len(parts["validation"])
        (32, 8)
    """
    if not fractions or min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"fractions: expected shares that sum to 1, found {dict(fractions)}")
    groups = shuffled_cases(entries, seed)
    wanted = [part for part, share in fractions.items() if share > 0]
    if len(groups) < len(wanted):
        raise ValueError(f"expected at least {len(wanted)} cases for {wanted}, found {len(groups)}")

    # The largest cases first: a large case that comes last would overshoot its part.
    chosen: dict[str, list[int]] = {part: [] for part in fractions}
    for number, group in enumerate(sorted(groups, key=len, reverse=True)):
        empty = [part for part in wanted if not chosen[part]]
        open_parts = (
            empty if len(groups) - number == len(empty) else wanted
        )  # the last cases: none stays empty
        short = max(open_parts, key=lambda part: fractions[part] * len(entries) - len(chosen[part]))
        chosen[short].extend(group)
    return {part: [entries[index] for index in sorted(indices)] for part, indices in chosen.items()}


def split_for_validation(
    entries: Sequence[dict[str, Any]], fraction: float, seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Split entries into training and validation by case; a fraction of 0 or 1 leaves one of them empty.

    Args:
        entries, seed: see :func:`split_by_case`.
        fraction: share of validation, 0 to 1.

    Raises:
        ValueError: see :func:`split_by_case`.

    Example:
        >>> parts = split_for_validation(entries, 0.2)
    """
    return split_by_case(entries, {"training": 1 - fraction, "validation": fraction}, seed)
