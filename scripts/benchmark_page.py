"""Write the page of a benchmark: tables, plots, and each method's best, median and worst case side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_data import OWN_LABEL, fit_to
from benchmark_results import (
    COMPARISON_HEADINGS,
    GROUP,
    HEADINGS,
    comparison_table,
    group_title,
    methods_table,
    plots,
)
from markupsafe import Markup

from monai_lora_sam.images import read_image, read_label
from monai_lora_sam.report import (
    Chart,
    Facts,
    Gallery,
    Notes,
    Section,
    Table,
    Text,
    Viewer,
    grey,
    mask_viewer,
    write_page,
)


def write_benchmark_page(
    path: Path, results: Mapping[str, Any], entries: Mapping[str, Sequence[Mapping[str, Any]]], out: Path
) -> None:
    """Write the page.

    Args:
        path: of the page.
        results: what `write_results` returned.
        entries: scored entries by data set.
        out: folder of the cells, with their predictions.
    """
    sections = [Section("Settings", [Facts(results["settings"])])]
    sections.append(Section("Methods", [Facts(results["methods"])]))
    rows = results["rows"]
    for group in dict.fromkeys(tuple(row[name] for name in GROUP) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in GROUP) == group]
        blocks: list[Any] = [Table(HEADINGS, methods_table(own), "Mean over cases with its 95 % interval.")]
        if plans := [f"{row['method']}: {row['plan']}" for row in own if row["plan"]]:
            blocks += map(Text, plans)
        paired = [one for one in results["comparisons"] if tuple(one[name] for name in GROUP) == group]
        paired = [one for one in paired if one["score"] == "dice"]
        if paired:
            note = "Paired by case: bootstrap interval, Wilcoxon's test with Holm's correction."
            blocks.append(Table(COMPARISON_HEADINGS, comparison_table(paired), note))
        sections.append(Section(group_title(own[0]), blocks))
        cells = [cell for cell in results["cells"] if tuple(cell[name] for name in GROUP) == group]
        sections.append(Section("Best, median and worst case", _galleries(cells, entries, out)))
    charts = [Chart(Markup(text)) for text in plots(rows).values()]
    sections.insert(2, Section("Dice against minutes and labelled images", charts))
    if results["failures"]:
        failed = [
            f"{f['method']}, {group_title(f)}, seed {f['seed']}: {f['error']}" for f in results["failures"]
        ]
        sections.insert(0, Section("Failed", [Notes(failed)]))
    write_page(path, "Benchmark", sections)


def _galleries(
    cells: Sequence[Mapping[str, Any]], entries: Mapping[str, Sequence[Mapping[str, Any]]], out: Path
) -> list[Any]:
    blocks: list[Any] = []
    for method in dict.fromkeys(cell["method"] for cell in cells):
        cell = next(cell for cell in cells if cell["method"] == method)
        known = [index for index, row in enumerate(cell["cases"]) if row["dice"] is not None]
        ranked = sorted(known, key=lambda index: cell["cases"][index]["dice"])
        if not ranked:
            continue
        chosen = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
        blocks.append(Text(f"{method}, seed {cell['seed']}"))
        blocks.append(
            Gallery(
                [
                    _viewer(word, cell, entries[cell["data"]][index], index, out)
                    for word, index in chosen.items()
                ]
            )
        )
    return blocks


def _viewer(word: str, cell: Mapping[str, Any], entry: Mapping[str, Any], index: int, out: Path) -> Viewer:
    truth = read_label(entry[OWN_LABEL], 256 if cell["classes"] > 2 else 2)
    found = read_label(out / cell["folder"] / "predictions" / f"{index:05d}.png", 256)
    picture = fit_to(grey(np.clip(read_image(entry["image"]).pixels, 0, 1)), truth.shape)
    return mask_viewer(
        picture,
        truth > 0,
        {"prediction": fit_to(found, truth.shape) > 0},
        f"{word}: {Path(cell['cases'][index]['image']).name}, Dice {cell['cases'][index]['dice']:.3f}",
    )
