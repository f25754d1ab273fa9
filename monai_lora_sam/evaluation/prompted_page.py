"""Write the page of an evaluation by prompts: tables, box plots, pictures of the best, median and worst."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.evaluation.evaluate_prompts import KEPT_CHOICE, KEPT_MODE, mask_file
from monai_lora_sam.evaluation.labelled_objects import labelled_objects
from monai_lora_sam.evaluation.prompt_modes import CHOICE_TITLES, MODES
from monai_lora_sam.evaluation.summarise import object_title
from monai_lora_sam.images import read_image, read_label
from monai_lora_sam.metrics import OBJECT_SCORES
from monai_lora_sam.report import (
    Chart,
    Gallery,
    Section,
    Table,
    Text,
    Viewer,
    box_plot,
    grey,
    mask_viewer,
    write_page,
)


def write_prompted_page(
    out: str | Path,
    rows: Sequence[Mapping[str, Any]],
    summary: Sequence[Mapping[str, Any]],
    entries: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    title: str,
    notes: Sequence[str] = (),
) -> Path:
    """Write `index.html` into the folder of an evaluation.

    Args:
        out: folder that :func:`evaluate_prompts` wrote.
        rows: of the evaluation.
        summary: what :func:`summarise` made of them.
        entries, class_names: of the datalist, for the pictures.
        title: heading of the page.
        notes: sentences at its head.

    Returns:
        The page.
    """
    choices = [choice for choice in CHOICE_TITLES if any(item["choice"] == choice for item in summary)]
    sections = [Section("Dice", [*map(Text, notes), *(_dice_table(summary, choice) for choice in choices)])]
    if any((item["mode"], item["choice"]) == (KEPT_MODE, KEPT_CHOICE) for item in summary):
        sections.append(Section("All scores for the tight box", [_score_table(summary)]))
    by_object: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_object[object_title(row)].append(row)
    of_image = {entry["image"]: entry for entry in entries}
    for name, own in sorted(by_object.items()):
        single = {
            mode: [row["dice"] for row in own if (row["mode"], row["choice"]) == (mode, "single")]
            for mode in MODES
            if any(row["mode"] == mode for row in own)
        }
        kept = sorted(
            (row for row in own if (row["mode"], row["choice"]) == (KEPT_MODE, KEPT_CHOICE)),
            key=lambda row: row["dice"],
        )
        chosen = {"best": kept[-1], "median": kept[len(kept) // 2], "worst": kept[0]} if kept else {}
        viewers = [
            _viewer(Path(out), word, row, of_image[row["image"]], class_names) for word, row in chosen.items()
        ]
        count = len({row["image"] for row in own})
        chart = Chart(box_plot(single, "Dice"), f"The decoder's single mask, {count} objects.")
        pictures = Section(name, [chart, Text("Masks for the tight box."), Gallery(viewers)])
        sections.append(pictures if viewers else Section(name, [chart]))
    path = Path(out) / "index.html"
    write_page(path, title, sections)
    return path


def _dice_table(summary: Sequence[Mapping[str, Any]], choice: str) -> Table:
    """Return the mean Dice in percent of each group and mode for a choice of mask."""
    modes = [mode for mode in MODES if any((i["mode"], i["choice"]) == (mode, choice) for i in summary)]
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    counts: dict[str, int] = {}
    for item in summary:
        if item["choice"] == choice:
            dice = item["dice"]
            cells[item["group"]][item["mode"]] = (
                f"{100 * dice['mean']:.1f} ({100 * dice['low']:.0f}–{100 * dice['high']:.0f})"
            )
            counts[item["group"]] = item["objects"]
    return Table(
        ["Objects", "n", *modes],
        [[group, counts[group], *(found.get(mode) for mode in modes)] for group, found in cells.items()],
        f"{CHOICE_TITLES[choice]}: mean Dice in percent with its 95 % interval.",
    )


def _score_table(summary: Sequence[Mapping[str, Any]]) -> Table:
    kept = [item for item in summary if (item["mode"], item["choice"]) == (KEPT_MODE, KEPT_CHOICE)]
    return Table(
        [
            "Objects",
            "n",
            "Empty",
            *(f"{name}, {word}" for name in OBJECT_SCORES.values() for word in ("mean", "median")),
        ],
        [
            [
                item["group"],
                item["objects"],
                item["empty"],
                *(item[name][word] for name in OBJECT_SCORES for word in ("mean", "median")),
            ]
            for item in kept
        ],
        "The decoder's single mask. Empty masks have no distances and are left out of their means.",
    )


def _viewer(
    out: Path, word: str, row: Mapping[str, Any], entry: Mapping[str, Any], class_names: Sequence[str]
) -> Viewer:
    """Show an object's image with the outlines of truth and prediction."""
    picture = read_image(entry["image"]).pixels
    objects, _ = labelled_objects(entry, class_names, smallest=1)
    truth = next(thing.mask for thing in objects if thing.name == row["object"])
    prediction = read_label(mask_file(out, row), 2).astype(bool)
    return mask_viewer(
        grey(np.clip(picture, 0, 1)),
        truth,
        {"prediction": prediction},
        f"{word}: {Path(row['image']).name}, Dice {row['dice']:.3f}",
    )
