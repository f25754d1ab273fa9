"""Read ARCADE and phantoms with words for their segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.anatomy import artery_phrases, segment_phrases
from monai_lora_sam.coronary.data.tasks import read_task

_PHRASES = {"segment_phrases": segment_phrases, "artery_phrases": artery_phrases}


def read_phrases(path: str | Path, task: str) -> dict[str, Any]:
    """Read a datalist of named segments, with `phrases`: the values of its labels by phrase.

    Args:
        path: of the datalist, or of the folder that holds ``datalist.json``.
        task: ``segment_phrases`` for each segment by its name, ``artery_phrases`` for whole arteries.

    Raises:
        ValueError: an unknown task, or a data set without named segments.

    Example:
        >>> read_phrases("data/arcade_segments", "artery_phrases")["phrases"]["right coronary artery"]  # doctest: +SKIP
        [1, 2, 3]
    """
    if task not in _PHRASES:
        raise ValueError(f"task: expected one of {sorted(_PHRASES)}, found {task!r}")
    return {**read_task(path, "segments"), "task": task, "phrases": _PHRASES[task]()}
