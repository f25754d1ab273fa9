"""Train a bundle with a grid of its keys, and compare score, size and time of the cells.

    python scripts/ablate.py scripts/ablations/rank.yaml --out runs/rank --set dataset_dir=data/arcade_vessels
    python scripts/ablate.py scripts/ablations/rank.yaml --out runs/rank --set dataset_dir=data/arcade_vessels --quick

The grid's file names a bundle, the keys that all cells share, and those that differ; docs/training.md describes it.
Scores are those of the validation split; the one after the last epoch chooses nothing. Each cell is trained with each
seed. A finished run is kept, and a killed one goes on after its last whole epoch, when the same command is given again.
A run that fails is listed, and the others go on. --out holds table.md, runs.csv, results.json and plot.svg of the
finished runs, up to date after each of them. A grid may ask for further scores, for the norm of the gradients in each
block after training, and for a guide to the rank of LoRA by the number of labelled images.

All runs share one process: a process for each would load PyTorch and MONAI again, which takes longer than a quick run.
Memory does not grow with their number, since a finished run is released before the next one.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from ablation_grid import parse_settings, read_grid
from ablation_run import AblationRun
from ablation_tables import console_table, write_results

from monai_lora_sam.cli import (
    check_json_file,
    console_beside,
    errors,
    one_line_errors,
    progress,
    write_json,
)
from monai_lora_sam.files import atomic_write


@one_line_errors()
def main(
    grid_file: Annotated[Path, typer.Argument(metavar="GRID.yaml", help="Bundle, keys and seeds.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs and results; a resumed run needs it.")],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the bundle for all cells, as often as wanted."),
    ] = None,
    quick: Annotated[
        bool, typer.Option(help="One seed, an epoch, a few images, to see that it works.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results here as well; - for standard output.")
    ] = None,
) -> None:
    """Train every cell with every seed, and compare them."""
    check_json_file(json_file)
    console = console_beside(json_file)
    given = parse_settings(setting or [])
    grid = read_grid(grid_file, given, quick)
    out = (out / "quick" if quick else out).resolve()
    runs = [AblationRun(grid, cell, seed, out, quick) for cell in grid.cells for seed in grid.seeds]
    for run in runs:
        run.check()
    facts = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "bundle": grid.bundle,
        "score": grid.score,
        "also": list(grid.also),
        "rank": grid.rank,
        "grid": grid_file.name,
        "set": given,
        "threads": torch.get_num_threads(),
        "cells": {cell.name: dict(cell.keys) for cell in grid.cells},
        "runs_planned": len(runs),
    }
    finished: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    with progress("runs") as bars:
        bar = bars.add_task("runs", total=len(runs))
        for run in runs:
            about = {"cell": run.cell.name, "seed": run.seed}
            try:
                finished.append({**about, **run.figures()})
            except Exception as error:
                text = " ".join(str(error).split()) or type(error).__name__
                failures.append({**about, "error": text})
                atomic_write(run.folder / "error.txt", traceback.format_exc())
                errors.print(f"{run.cell.name}, seed {run.seed}: {text}", markup=False, soft_wrap=True)
            results = write_results(out, facts, finished, failures)
            bars.advance(bar)
    if json_file is not None:
        write_json(results, json_file)
    console.print(console_table(results["results"], grid.score, grid.also))
    for line in results.get("rank_guide", {}).get("for", []):
        console.print(f"Rank guide: {grid.rank} {line['rank']} for {line['images']} labelled images")
    console.print(f"Files: {out}", soft_wrap=True, markup=False, highlight=False)
    if failures:
        names = ", ".join(f"{failure['cell']} (seed {failure['seed']})" for failure in failures)
        raise ValueError(
            f"expected {len(runs)} finished runs, {len(failures)} failed: {names}; see error.txt in {out}"
        )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
