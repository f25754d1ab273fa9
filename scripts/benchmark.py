"""Compare adapters with nnU-Net and a U-Net on the same images, under a budget that counts everything.

    python scripts/benchmark.py data/arcade_vessels --out runs/benchmark --image-size 256 --minutes 30
    python scripts/benchmark.py data/arcade_vessels --out runs/gpu --minutes 60 --device cuda --own-schedule

Each cell is a data set, a method, a number of labelled cases, a budget and a seed; docs/benchmark.md describes them.
The budget holds planning, preprocessing, loading and training: processor minutes of all threads on the CPU, minutes by
the clock on a GPU. A finished cell is kept, a killed one goes on, and one that fails is listed while the others go on.
--out holds table.md, cells.csv, cases.csv, results.json, plots and index.html, up to date after each cell.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import typer
from ablation_grid import parse_settings
from benchmark_data import ALL, BenchmarkData, open_data
from benchmark_methods import METHODS, base_of
from benchmark_page import write_benchmark_page
from benchmark_results import write_results
from benchmark_run import BenchmarkRun, Common
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from monai_lora_sam.cli import check_json_file, console_beside, errors, one_line_errors, write_json
from monai_lora_sam.files import atomic_write, check_output_folder

WIDTH = 60  # letters of a line of progress
LONGEST_ERROR = 400  # letters in tables; error.txt has all


@one_line_errors()
def main(
    source: Annotated[
        list[Path], typer.Argument(help="Datalists, their folders, Decathlon or COSMOS folders.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the cells and results; a resumed run needs it.")],
    minutes: Annotated[list[float], typer.Option(help="Budget of a cell; repeatable.")],
    method: Annotated[list[str] | None, typer.Option(help="Repeatable; all 2-D ones by default.")] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="Labelled cases, or all; repeatable. Default: all.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable. Default: 0.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Of data sets that serve several: vessels, segments.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split that is scored: validation or test.")] = "validation",
    encoder: Annotated[str, typer.Option(help="Of adapters and U-Net.")] = "mini",
    image_size: Annotated[
        int | None, typer.Option(help="Longest side in pixels for all methods. Default: own sizes.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Cells side by side.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Of a cell. Default: cores / jobs.")] = None,
    iterations: Annotated[int, typer.Option(help="Of an epoch, after which states are saved.")] = 25,
    own_schedule: Annotated[
        bool, typer.Option(help="nnU-Net trains its own 1000 epochs of 250 iterations, without a budget.")
    ] = False,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the bundle for adapters and U-Net.")
    ] = None,
    nnunet_commands: Annotated[
        Path | None, typer.Option(help="Folder of nnU-Net's commands, if in another environment.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results here as well; - for standard output.")
    ] = None,
) -> None:
    """Train and score every cell, and compare the methods."""
    check_json_file(json_file)
    check_output_folder(out)
    out = out.resolve()
    names = method or [name for name, known in METHODS.items() if known.configuration != "3d_fullres"]
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"--method: expected one of {sorted(METHODS)}, found {unknown[0]!r}")
    sizes = [_size(text) for text in size or [ALL]]
    cores = os.cpu_count() or 1
    threads = threads or max(cores // jobs, 1)
    if jobs < 1 or jobs * threads > cores:
        raise ValueError(f"--jobs, --threads: expected at most {cores} together, found {jobs} × {threads}")
    if min(minutes) <= 0:
        raise ValueError(f"--minutes: expected numbers above 0, found {min(minutes)}")
    common = Common(
        *(encoder, image_size, device, threads, own_schedule, iterations, parse_settings(setting or [])),
        nnunet_commands=None if nnunet_commands is None else str(nnunet_commands),
        energy=jobs == 1,  # a counter is of the whole machine
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as bars:
        data = [_open(path, out, split, task, image_size, bars) for path in source]
        if twice := {one.name for one in data if [other.name for other in data].count(one.name) > 1}:
            raise ValueError(f"expected data sets of different names, found {sorted(twice)}")
        grid = itertools.product(data, seed or [0], minutes, sizes, (METHODS[name] for name in names))
        runs = [
            BenchmarkRun(own, how, count, budget, number, common, out)
            for own, number, budget, count, how in grid
        ]
        for run in runs:
            run.check()
        facts = _facts(runs, common, split, jobs)
        results, failures = _run_all(runs, facts, out, jobs, bars)
    entries = {one.name: one.evaluation for one in data}
    write_benchmark_page(out / "index.html", results, entries, out)
    if json_file is not None:
        write_json(results, json_file)
    console = console_beside(json_file)
    console.print((out / "table.md").read_text(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"Files: {out}", soft_wrap=True, markup=False, highlight=False)
    if failures:
        raise ValueError(
            f"expected {len(runs)} finished cells, {len(failures)} failed; see error.txt in {out}"
        )


def _run_all(
    runs: list[BenchmarkRun], facts: dict[str, Any], out: Path, jobs: int, bars: Progress
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run all cells, some side by side, and return results and failures."""
    bar = bars.add_task("cells", total=len(runs))
    finished: dict[int, dict[str, Any]] = {}
    failures: list[dict[str, Any]] = []
    results: dict[str, Any] = {}

    def work(run: BenchmarkRun) -> dict[str, Any]:
        line = bars.add_task(run.place[:WIDTH], total=None)
        try:
            return run.result(
                lambda text: bars.update(line, description=f"{run.method.name}: {text[:WIDTH]}")
            )
        finally:
            bars.remove_task(line)

    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(work, run): number for number, run in enumerate(runs)}
        for future in as_completed(waiting):
            number = waiting[future]
            run = runs[number]
            try:
                finished[number] = future.result()
            except Exception as error:
                text = (" ".join(str(error).split()) or type(error).__name__)[:LONGEST_ERROR]
                failures.append({**run.about, "error": text})
                atomic_write(run.folder / "error.txt", "".join(traceback.format_exception(error)))
                errors.print(f"{run.place}: {text}", markup=False, soft_wrap=True)
            ordered = [finished[index] for index in sorted(finished)]
            results = write_results(out, facts, ordered, failures)
            bars.advance(bar)
    return results, failures


def _open(
    path: Path, out: Path, split: str, task: str | None, image_size: int | None, bars: Progress
) -> BenchmarkData:
    line = bars.add_task(f"pictures of {path.name}", total=None)
    try:
        return open_data(
            path,
            out / "data",
            split,
            task,
            image_size,
            lambda n, total: bars.update(line, completed=n, total=total),
        )
    finally:
        bars.remove_task(line)


def _facts(runs: list[BenchmarkRun], common: Common, split: str, jobs: int) -> dict[str, Any]:
    """Return the settings of all cells and one line for each method, for every output."""
    clock = "processor minutes of all threads" if common.device == "cpu" else "minutes by the clock"
    budgets = sorted({run.minutes for run in runs})
    side = "own size of each image" if common.image_size is None else f"{common.image_size} px, longest side"
    settings = {
        "image size": side,
        "budget": f"{', '.join(f'{budget:g}' for budget in budgets)} {clock}, for planning, preprocessing, loading "
        "and training",
        "nnU-Net": "its own schedule, without a budget"
        if common.own_schedule
        else "trained until the budget is spent; the last state predicts",
        "encoder": common.encoder,
        "bundle keys": ", ".join(f"{key}={value}" for key, value in common.keys.items())
        or "those of train.yaml",
        "iterations of an epoch": common.iterations,
        "scored": f"{split}, at each image's own size",
        "device": f"{common.device}, {common.threads} threads a cell, {jobs} cells side by side",
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
    methods = {run.method.name: run.method for run in runs}
    about = {
        name: f"{method.about}; starts from {base_of(method, common.encoder)}"
        for name, method in methods.items()
    }
    return {"settings": settings, "methods": about, "cells_planned": len(runs)}


def _size(text: str) -> int | str:
    if text == ALL:
        return ALL
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--size: expected a whole number above 0 or {ALL}, found {text!r}")
    return int(text)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
