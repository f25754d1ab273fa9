"""Choose a few cases for training, and divide cases into folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.data import partition_dataset, select_cross_validation_folds

from monai_lora_sam.data.splits import shuffled_cases

Entries = list[dict[str, Any]]


def few_shot(entries: Sequence[dict[str, Any]], n: int, seed: int = 0) -> Entries:
    """Return the entries of `n` cases that a seed draws, in their old order.

    All slices of a case stay, and duplicates of one image count as one case. The draws of a seed are nested: the cases
    of `n` are among those of `n + 1`, whatever the order of the entries.

    Args:
        entries: of a datalist, with `image` and, where known, `case_id` and `pixel_hash`.
        n: number of cases, 1 or more.
        seed: another seed draws other cases.

    Raises:
        ValueError: fewer cases than `n`, or `n` below 1.

    Example:
        >>> len(few_shot([{"image": f"{n}.png", "case_id": n // 3, "pixel_hash": n} for n in range(12)], 2))
        6
    """
    cases = shuffled_cases(entries, seed)
    if not 1 <= n <= len(cases):
        raise ValueError(f"few-shot: expected 1 to {len(cases)} cases, the number of all, found {n}")
    return _entries(entries, cases[:n])


def folds(entries: Sequence[dict[str, Any]], k: int, seed: int = 0) -> list[dict[str, Entries]]:
    """Divide entries into `k` folds by case and return the splits in which each fold in turn is for validation.

    Duplicates of one image stay in one fold. Folds differ by one case at most (MONAI's `partition_dataset` over cases).

    Args:
        entries, seed: see :func:`few_shot`.
        k: number of folds, 2 or more.

    Returns:
        `k` splits, each with "training" and "validation", in the order of the entries.

    Raises:
        ValueError: fewer cases than `k`, or `k` below 2.

    Example:
        >>> splits = folds([{"image": f"{n}.png", "pixel_hash": n} for n in range(10)], 5)
        >>> [len(split["validation"]) for split in splits]
        [2, 2, 2, 2, 2]
    """
    cases = shuffled_cases(entries, seed)
    if not 2 <= k <= len(cases):
        raise ValueError(f"folds: expected 2 to {len(cases)}, the number of cases, found {k}")
    parts = partition_dataset(cases, num_partitions=k)
    return [
        {
            "training": _entries(
                entries, select_cross_validation_folds(parts, [j for j in range(k) if j != fold])
            ),
            "validation": _entries(entries, parts[fold]),
        }
        for fold in range(k)
    ]


def _entries(entries: Sequence[dict[str, Any]], cases: Sequence[list[int]]) -> Entries:
    return [entries[index] for index in sorted(index for case in cases for index in case)]
