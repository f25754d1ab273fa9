"""Summarise scores by object, by modality, by kind of prompt and by choice of mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from monai_lora_sam.evaluation.prompt_modes import CHOICES, CLICK_MODES, PROMPT_MODES
from monai_lora_sam.metrics import OBJECT_SCORES, mean_with_interval

#: All kinds of prompt in the order of tables.
MODES = (*PROMPT_MODES, *CLICK_MODES)


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
    for row in rows:
        modality = row["modality"] or "unknown modality"
        # Two data sets may name their objects alike.
        dataset = f" ({row['dataset']})" if row["dataset"] else ""
        for by, group in (
            ("object", f"{modality} {row['object']}{dataset}"),
            ("modality", f"{modality}, all"),
        ):
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
