"""Sum up the runs of an ablation by cell, and write table, CSV, JSON and plot."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation_rank import rank_lines
from rich import box
from rich.table import Table

from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_write
from monai_lora_sam.metrics import mean_with_interval
from monai_lora_sam.report import Interval, Place, curve_plot, interval_plot, markdown_table

#: Figures of a run, in the order of the columns of the CSV file.
FIGURES = ("last", "best", "epochs", "trainable_parameters", "seconds", "cpu_seconds", "bytes")


def summary(runs: Sequence[Mapping[str, Any]], also: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return a row for each cell.

    Args:
        runs: finished runs with `cell`, `seed` and the figures of ``FIGURES``; the scores are None where unknown.
        also: further scores, each run's under `metrics`.

    Returns:
        `cell`, `seeds`, of each of `last` and `best` the `values`, `mean`, `low` and `high`; of parameters, seconds and
        bytes the mean; under `also` the `values`, `mean` and standard `deviation` of further scores.
    """
    rows = []
    for cell in dict.fromkeys(run["cell"] for run in runs):
        own = [run for run in runs if run["cell"] == cell]
        row: dict[str, Any] = {"cell": cell, "seeds": [run["seed"] for run in own]}
        for kind in ("last", "best"):
            values = [run[kind] for run in own]
            found = mean_with_interval([math.nan if value is None else value for value in values])
            row[kind] = {"values": values, **{key: found[key] for key in ("mean", "low", "high")}}
        for figure in FIGURES[2:]:
            row[figure] = statistics.mean(run[figure] for run in own)
        row["also"] = {name: _spread([run["metrics"][name] for run in own]) for name in also}
        rows.append(row)
    return rows


def headings(score: str, also: Sequence[str] = ()) -> list[str]:
    """Return the headings of the columns."""
    return ["cell", f"{score}, last", "best", *also, "trained", "CPU s", "s", "stored"]


def texts(row: Mapping[str, Any]) -> list[str]:
    """Return a row as it is read."""
    return [
        str(row["cell"]),
        *(_with_interval(row[kind]) for kind in ("last", "best")),
        *(_with_deviation(found) for found in row["also"].values()),
        f"{row['trainable_parameters'] / 1e6:.3f} M",
        f"{row['cpu_seconds']:.0f}",
        f"{row['seconds']:.0f}",
        f"{row['bytes'] / 1e6:.2f} MB",
    ]


def console_table(rows: Sequence[Mapping[str, Any]], score: str, also: Sequence[str] = ()) -> Table:
    """Return the rows for the console."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for number, column in enumerate(headings(score, also)):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*texts(row))
    return table


def write_results(
    out: Path,
    facts: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Write `table.md`, `runs.csv`, `results.json` and `plot.svg`, and return the content of the JSON file.

    Args:
        out: their folder.
        facts: of all runs, `score` and `bundle` among them; `also` names further scores of the table, `rank` the key
            that a guide is read off for.
        runs: those that are finished, as of :func:`summary`.
        failures: those that failed: `cell`, `seed`, `error`.
    """
    also = facts.get("also", [])
    rows = summary(runs, also)
    results = {**facts, "results": rows, "runs": list(runs), "failures": list(failures)}
    if rank := facts.get("rank"):
        images = [run["training_images"] for run in runs]
        lines = rank_lines(rank, runs, facts["cells"], images[0]) if images else []
        results["rank_guide"] = {"key": rank, "for": lines}
    text = markdown_table(headings(facts["score"], also), list(map(texts, rows)))
    if gradients := gradient_rows(runs):
        results["gradients"] = gradients
        for part, plot in gradient_plots(gradients).items():
            atomic_write(out / f"gradients_{part.replace(' ', '_')}.svg", plot)
        text += f"\n{gradient_table(gradients)}"
    write_json(out / "results.json", results)
    atomic_write(out / "table.md", text)
    table = io.StringIO()
    writer = csv.DictWriter(table, ("cell", "seed", *FIGURES, *also, "error"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: {**run.get("metrics", {}), **run}.get(key) for key in writer.fieldnames}
        for run in [*runs, *failures]
    )
    atomic_write(out / "runs.csv", table.getvalue())
    if rows:
        shown = {row["cell"]: _interval(row["last"]) for row in rows}
        label = f"{facts['score']} after the last epoch: each seed, mean, 95 % interval"
        atomic_write(out / "plot.svg", interval_plot(shown, label, str(facts["bundle"])))
    return results


def gradient_rows(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the norms of gradients by cell, part of the network and kind, each the mean over the seeds of a block."""
    rows = []
    for cell in dict.fromkeys(run["cell"] for run in runs):
        own = [run["gradients"] for run in runs if run["cell"] == cell and run.get("gradients")]
        for part, kinds in own[0].items() if own else ():
            for kind in kinds:
                values = [
                    None if None in block else statistics.mean(block)
                    for block in zip(*(norms[part][kind] for norms in own), strict=True)
                ]
                rows.append({"cell": cell, "part": part, "of": kind, "blocks": values})
    return rows


def gradient_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the norms of gradients as Markdown, a column for each block; a dash where nothing trains or runs."""
    blocks = max(len(row["blocks"]) for row in rows)
    columns = [f"block {place}" for place in range(1, blocks + 1)]
    lines = []
    for row in rows:
        values = ["–" if value is None else f"{value:.2g}" for value in row["blocks"]]
        values += [""] * (blocks - len(values))
        lines.append([str(row["cell"]), f"{row['part']}, {row['of']}", *values])
    return markdown_table(["cell", "norm of the gradient of", *columns], lines)


def gradient_plots(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return for each part of the network a plot of the gradients of what trains, over its blocks."""
    plots = {}
    for part in dict.fromkeys(row["part"] for row in rows):
        curves = {
            str(row["cell"]): [
                Place(number, Interval(value, value, value, [value]))
                for number, value in enumerate(row["blocks"], start=1)
                if value is not None
            ]
            for row in rows
            if row["part"] == part and row["of"] == "parameters"
        }
        shown = {cell: places for cell, places in curves.items() if places}
        if shown:
            plots[part] = curve_plot(shown, f"block of the {part}", "norm of the gradient of what trains")
    return plots


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    mean = statistics.mean(known) if known else None
    return {
        "values": list(values),
        "mean": mean,
        "deviation": statistics.stdev(known) if len(known) > 1 else None,
    }


def _with_deviation(found: Mapping[str, Any]) -> str:
    if found["mean"] is None:
        return "–"
    return f"{found['mean']:.4f}" + ("" if found["deviation"] is None else f" ± {found['deviation']:.4f}")


def _interval(found: Mapping[str, Any]) -> Interval:
    known = [value for value in found["values"] if value is not None]
    return Interval(found["mean"], found["low"], found["high"], known)


def _with_interval(found: Mapping[str, Any]) -> str:
    if found["mean"] is None:
        return "–"
    several = sum(value is not None for value in found["values"]) > 1
    return f"{found['mean']:.4f}" + (f" ({found['low']:.4f}–{found['high']:.4f})" if several else "")
