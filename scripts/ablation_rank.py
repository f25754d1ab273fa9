"""Read off an ablation how large the rank of LoRA should be for a number of labelled images."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def rank_guide(scores: Mapping[int, Sequence[float]], images: int, labelled: int) -> int:
    """Return a rank for a number of labelled images.

    With as many images as the ablation had, or more, it is the smallest rank whose mean score is not below the best
    mean by more than the standard deviation of the seeds. With fewer it is the largest of the ablation's ranks that has
    no more parameters for each image than that one had, so in proportion to the images; the smallest one at least. The
    proportion is an assumption, not measured.

    Args:
        scores: of each rank, one for each seed; larger is better.
        images: that the ablation trained on.
        labelled: images that there are.

    Raises:
        ValueError: no scores, or a number of images below 1.

    Example:
        >>> rank_guide({8: [0.60, 0.62], 16: [0.68, 0.72], 32: [0.69, 0.71]}, images=100, labelled=50)
        8
    """
    if not scores or not all(scores.values()):
        raise ValueError(f"scores: expected some of each rank, found {dict(scores)}")
    if images < 1 or labelled < 1:
        raise ValueError(f"images: expected 1 or more, found {images} and {labelled}")
    means = {rank: statistics.mean(values) for rank, values in scores.items()}
    spreads = [statistics.stdev(values) for values in scores.values() if len(values) > 1]
    spread = max(spreads, default=0.0)
    best = min(rank for rank, mean in means.items() if mean >= max(means.values()) - spread)
    if labelled >= images:
        return best
    return max((rank for rank in means if rank * images <= best * labelled), default=min(means))


def rank_lines(
    key: str, runs: Sequence[Mapping[str, Any]], cells: Mapping[str, Mapping[str, Any]], images: int
) -> list[dict[str, int]]:
    """Return the rank of the guide for a quarter, a half and all of the ablation's images.

    Args:
        key: of the rank in the cells, such as ``text_lora#r``; cells without it do not count.
        runs: finished ones, with `cell` and `last`.
        cells: keys of each cell by its name.
        images: that the ablation trained on.

    Returns:
        `images` and `rank` for each; nothing before two ranks have a score.
    """
    scores: dict[int, list[float]] = {}
    for run in runs:
        rank = cells[run["cell"]].get(key)
        if rank is not None and run["last"] is not None:
            scores.setdefault(int(rank), []).append(run["last"])
    if len(scores) < 2:
        return []
    numbers = sorted({max(1, images // 4), max(1, images // 2), images})
    return [{"images": number, "rank": rank_guide(scores, images, number)} for number in numbers]
