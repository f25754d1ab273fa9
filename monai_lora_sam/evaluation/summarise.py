"""Summarise scores by object, by modality, by kind of prompt and by choice of mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from monai_lora_sam.evaluation.prompt_modes import CHOICES, MODES
from monai_lora_sam.metrics import OBJECT_SCORES, mean_with_interval

UNKNOWN = "unknown modality"


def object_title(row: Mapping[str, Any]) -> str:
    """Return the modality and the name of an object, such as "MR LeftVentricle"."""
    return f"{row['modality'] or UNKNOWN} {row['object']}"


def summarise(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """Return mean, median and 95 % interval of every score, for each object and for each modality.

    Args:
        rows: of :class:`PromptedEvaluation`.
        seed: of the bootstrap, which resamples objects.

    Returns:
        One item for each group, mode and choice: `group` (such as "MR LeftVentricle", or "MR, all"), `by` ("object" or
        "modality"), `mode`, `choice`, `objects`, `empty` (number of empty masks, which have no distances), and for each
        score what :func:`mean_with_interval` returns.

    Example:
        >>> summary = summarise(evaluation.rows)  # doctest: +SKIP
        >>> summary[0]["dice"]["mean"]  # doctest: +SKIP
        0.93
    """
    groups: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    datasets: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        datasets[object_title(row)].add(row["dataset"])
    for row in rows:
        title = object_title(row)
        if len(datasets[title]) > 1:  # Two data sets may name their objects alike.
            title += f" ({row['dataset']})"
        for by, group in (("object", title), ("modality", f"{row['modality'] or UNKNOWN}, all")):
            groups[by, group, row["mode"], row["choice"]].append(row)

    def order(key: tuple[str, str, str, str]) -> tuple[Any, ...]:
        by, group, mode, choice = key
        return by != "object", group, MODES.index(mode), CHOICES.index(choice)

    return [
        {
            "group": group,
            "by": by,
            "mode": mode,
            "choice": choice,
            "objects": len(own),
            "empty": sum(row["empty"] for row in own),
            **{name: mean_with_interval([row[name] for row in own], seed) for name in OBJECT_SCORES},
        }
        for (by, group, mode, choice), own in sorted(groups.items(), key=lambda item: order(item[0]))
    ]
