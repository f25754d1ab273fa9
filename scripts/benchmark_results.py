"""Sum up the cells of a benchmark, compare methods case by case, and write table, CSV, JSON and plots."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_scores import LOWER_IS_BETTER, SCORES

from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_write
from monai_lora_sam.metrics import compare_methods, mean_with_interval
from monai_lora_sam.report import Interval, Place, curve_plot, markdown_table

#: What a group of cells has in common.
GROUP = ("data", "size", "budget_minutes")
#: Figures of a cell in the CSV file.
FIGURES = (
    *("data", "method", "size", "images", "budget_minutes", "seed", "minutes", "iterations", "batch_size"),
    *(
        "trainable_parameters",
        "bytes",
        "peak_bytes",
        "peak_cuda_bytes",
        "joules",
        "seconds_per_image",
        "plan",
    ),
    *SCORES,
    "error",
)
HEADINGS = (
    "method",
    "Dice",
    "clDice",
    "NSD",
    "HD95 (px)",
    "ARCADE's F1",
    "minutes",
    "stored",
    "memory",
    "energy",
)


def of_cases(cells: Sequence[Mapping[str, Any]], score: str) -> dict[str, float]:
    """Return the score of each case, averaged over its images and over seeds; NaN where a case has none."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        for row in cell["cases"]:
            if row.get(score) is not None:
                values[row["case"]][cell["seed"]].append(row[score])
    cases = dict.fromkeys((row["case"] for cell in cells for row in cell["cases"]), math.nan)
    means = {case: float(np.mean([np.mean(v) for v in seeds.values()])) for case, seeds in values.items()}
    return cases | means


def summary(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each data set, size, budget and method, with its seeds.

    Each score has the mean over cases of the seeds' mean with its 95 % bootstrap interval over cases, and the mean of
    each seed alone.
    """
    rows = []
    for key in dict.fromkeys((*(cell[name] for name in GROUP), cell["method"]) for cell in cells):
        own = [cell for cell in cells if (*(cell[name] for name in GROUP), cell["method"]) == key]
        row: dict[str, Any] = dict(zip((*GROUP, "method"), key, strict=True))
        row["seeds"], row["images"] = [cell["seed"] for cell in own], own[0]["images"]
        for score in SCORES:
            cases = of_cases(own, score)
            row[score] = mean_with_interval(list(cases.values()))
            row[score]["seeds"] = [_mean(of_cases([cell], score).values()) for cell in own]
        for figure in ("minutes", "bytes", "peak_bytes", "peak_cuda_bytes", "joules", "trainable_parameters"):
            row[figure] = _mean(cell.get(figure) for cell in own)
        row["plan"] = own[0].get("plan")
        rows.append(row)
    return rows


def comparisons(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare every two methods of each data set, size and budget, score by score, paired by case."""
    found = []
    for group in dict.fromkeys(tuple(cell[name] for name in GROUP) for cell in cells):
        own = [cell for cell in cells if tuple(cell[name] for name in GROUP) == group]
        methods = list(dict.fromkeys(cell["method"] for cell in own))
        for score in SCORES:
            by_method = {m: of_cases([c for c in own if c["method"] == m], score) for m in methods}
            cases = list(dict.fromkeys(case for scores in by_method.values() for case in scores))
            values = {m: [scores.get(case, math.nan) for case in cases] for m, scores in by_method.items()}
            if np.isnan(list(values.values())).all():
                continue
            for one in compare_methods(values, score not in LOWER_IS_BETTER):
                found.append(
                    {
                        **dict(zip(GROUP, group, strict=True)),
                        "score": score,
                        **asdict(one),
                        "verdict": one.verdict,
                    }
                )
    return found


def write_results(
    out: Path,
    facts: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Write `table.md`, `cells.csv`, `cases.csv`, `results.json` and the plots, and return the JSON file's content.

    Args:
        out: their folder.
        facts: of all cells: settings and methods.
        cells: finished ones.
        failures: of those that failed: the keys of a cell and `error`.
    """
    rows, compared = summary(cells), comparisons(cells)
    results = {
        **facts,
        "rows": rows,
        "comparisons": compared,
        "cells": list(cells),
        "failures": list(failures),
    }
    write_json(out / "results.json", results)
    atomic_write(out / "table.md", _markdown(facts, rows, compared, failures))
    means = [{**c, **{s: _mean(of_cases([c], s).values()) for s in SCORES}} for c in cells]
    atomic_write(out / "cells.csv", _csv(FIGURES, [*means, *failures]))
    names = ("data", "method", "size", "budget_minutes", "seed", "image", "case", *SCORES)
    atomic_write(out / "cases.csv", _csv(names, [{**c, **row} for c in cells for row in c["cases"]]))
    for name, text in plots(rows).items():
        atomic_write(out / f"{name}.svg", text)
    return results


def plots(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return Dice against minutes and against labelled images for each data set, as SVG by name."""
    found = {}
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        label = "Dice (dots: mean of seeds; bars: 95 % over cases; rings: seeds)"
        for size in dict.fromkeys(row["size"] for row in own):
            curves = _curves([r for r in own if r["size"] == size], "minutes")
            title = f"{data}, training on {size} cases"
            found[f"{data}_minutes_{size}"] = curve_plot(curves, "minutes of training", label, title)
        for budget in dict.fromkeys(row["budget_minutes"] for row in own):
            curves = _curves([r for r in own if r["budget_minutes"] == budget], "images")
            title = f"{data}, {budget:g} minutes"
            found[f"{data}_images_{budget:g}"] = curve_plot(
                curves, "labelled images", label, title, log_x=True
            )
    return found


def methods_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows as they are read, in the columns of ``HEADINGS``."""
    return [
        [
            row["method"],
            *(_with_interval(row[score], 1 if score in LOWER_IS_BETTER else 3) for score in SCORES),
            _text(row["minutes"], "{:.1f}"),
            _text(row["bytes"], "{:.1f} MB", 1e6),
            _text(row["peak_cuda_bytes"] or row["peak_bytes"], "{:.2f} GB", 1e9),
            _text(row["joules"], "{:.1f} kJ", 1e3),
        ]
        for row in rows
    ]


def comparison_table(compared: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return comparisons as they are read: methods, difference with interval, p after Holm, verdict."""
    return [
        [
            f"{one['first']} − {one['second']}",
            str(one["cases"]),
            "–"
            if one["difference"] is None
            else f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})",
            _text(one["p_holm"], "{:.3f}"),
            one["verdict"],
        ]
        for one in compared
    ]


COMPARISON_HEADINGS = ("Dice", "cases", "difference (95 %)", "p (Holm)", "verdict")


def group_title(group: Mapping[str, Any]) -> str:
    """Name a data set, a size and a budget."""
    return f"{group['data']}, training on {group['size']} cases, {group['budget_minutes']:g} minutes"


def _markdown(facts, rows, compared, failures) -> str:
    parts = [f"- {name}: {value}\n" for name, value in facts["settings"].items()]
    parts += [f"- {name}: {about}\n" for name, about in facts["methods"].items()]
    for group in dict.fromkeys(tuple(row[name] for name in GROUP) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in GROUP) == group]
        parts.append(f"\n## {group_title(own[0])}\n\n{markdown_table(HEADINGS, methods_table(own))}\n")
        parts += [f"- {row['method']}: {row['plan']}\n" for row in own if row["plan"]]
        paired = [
            one for one in compared if tuple(one[name] for name in GROUP) == group and one["score"] == "dice"
        ]
        if paired:
            parts.append("\n" + markdown_table(COMPARISON_HEADINGS, comparison_table(paired)))
    if failures:
        parts.append("\n## Failed\n\n")
        parts += [f"- {f['method']}, {group_title(f)}, seed {f['seed']}: {f['error']}\n" for f in failures]
    return "".join(parts)


def _curves(rows: Sequence[Mapping[str, Any]], x: str) -> dict[str, list[Place]]:
    curves: dict[str, list[Place]] = defaultdict(list)
    for row in rows:
        found = row["dice"]
        seeds = [value for value in found["seeds"] if value is not None]
        curves[row["method"]].append(
            Place(row[x], Interval(found["mean"], found["low"], found["high"], seeds))
        )
    return dict(curves)


def _csv(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: row.get(name) for name in names} for row in rows)
    return table.getvalue()


def _mean(values) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(known)) if known else None


def _text(value: float | None, form: str, unit: float = 1) -> str:
    return "–" if value is None else form.format(value / unit)


def _with_interval(found: Mapping[str, Any], digits: int) -> str:
    if found["mean"] is None:
        return "–"
    return f"{found['mean']:.{digits}f} ({found['low']:.{digits}f}–{found['high']:.{digits}f})"
