"""Sum up the runs of an ablation by cell, and write table, CSV, JSON and plot."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_write
from monai_lora_sam.metrics import mean_with_interval
from monai_lora_sam.report import Interval, interval_plot, markdown_table

#: Figures of a run, in the order of the columns of the CSV file.
FIGURES = ("last", "best", "epochs", "trainable_parameters", "seconds", "cpu_seconds", "bytes")


def summary(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each cell.

    Args:
        runs: finished runs with `cell`, `seed` and the figures of ``FIGURES``; the scores are None where unknown.

    Returns:
        `cell`, `seeds`, of each of `last` and `best` the `values`, `mean`, `low` and `high`; of parameters, seconds and
        bytes the mean.
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
        rows.append(row)
    return rows


def headings(score: str) -> list[str]:
    """Return the headings of the columns."""
    return ["cell", f"{score}, last", "best", "trained", "CPU s", "s", "stored"]


def texts(row: Mapping[str, Any]) -> list[str]:
    """Return a row as it is read."""
    return [
        str(row["cell"]),
        *(_with_interval(row[kind]) for kind in ("last", "best")),
        f"{row['trainable_parameters'] / 1e6:.3f} M",
        f"{row['cpu_seconds']:.0f}",
        f"{row['seconds']:.0f}",
        f"{row['bytes'] / 1e6:.2f} MB",
    ]


def console_table(rows: Sequence[Mapping[str, Any]], score: str) -> Table:
    """Return the rows for the console."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for number, column in enumerate(headings(score)):
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
        facts: of all runs, `score` and `bundle` among them.
        runs: those that are finished, as of :func:`summary`.
        failures: those that failed: `cell`, `seed`, `error`.
    """
    rows = summary(runs)
    results = {**facts, "results": rows, "runs": list(runs), "failures": list(failures)}
    write_json(out / "results.json", results)
    atomic_write(out / "table.md", markdown_table(headings(facts["score"]), list(map(texts, rows))))
    table = io.StringIO()
    writer = csv.DictWriter(table, ("cell", "seed", *FIGURES, "error"), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: run.get(key) for key in writer.fieldnames} for run in [*runs, *failures])
    atomic_write(out / "runs.csv", table.getvalue())
    if rows:
        shown = {row["cell"]: _interval(row["last"]) for row in rows}
        label = f"{facts['score']} after the last epoch: each seed, mean, 95 % interval"
        atomic_write(out / "plot.svg", interval_plot(shown, label, str(facts["bundle"])))
    return results


def _interval(found: Mapping[str, Any]) -> Interval:
    known = [value for value in found["values"] if value is not None]
    return Interval(found["mean"], found["low"], found["high"], known)


def _with_interval(found: Mapping[str, Any]) -> str:
    if found["mean"] is None:
        return "–"
    several = sum(value is not None for value in found["values"]) > 1
    return f"{found['mean']:.4f}" + (f" ({found['low']:.4f}–{found['high']:.4f})" if several else "")
