"""Measure predictions over many images: the index, workers side by side, a restart; project 1 and 100 GPUs.

The index has generated entries without files. The images are synthetic angiograms, segmented by the shipped stage
`vessels` or that of --stage. Workers share the cores of this machine, with one thread each.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from PIL import Image
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors, write_json
from monai_lora_sam.coronary.phantom import generate_phantom
from monai_lora_sam.index import IndexedImage, index_images, write_index
from monai_lora_sam.networks import choose_device
from monai_lora_sam.prediction import (
    PredictionRun,
    StagePredictor,
    WorkerPlace,
    begin_run,
    summarise_run,
    work_on_shards,
)
from monai_lora_sam.workflows import run_measured

WORKERS = (1, 2, 4)
#: Numbers of GPUs and of images of the projection.
GPUS, PROJECTED = (1, 100), 1_000_000
#: Seconds that a worker takes to start, in the projection: imports and weights.
START_SECONDS = 30

#: Writes an index of generated entries and reads it from end to end; prints the seconds of both.
WRITE_AND_READ = """
import sys, time
from monai_lora_sam.index import ImageIndex, IndexedImage, write_index
path, count = sys.argv[1], int(sys.argv[2])
entries = (IndexedImage(f"study/{n}.png", f"/data/study/{n}.png", n, f"{n:064x}") for n in range(count))
start = time.perf_counter()
index = ImageIndex(write_index(path, entries))
written = time.perf_counter()
for first in range(0, count, 8192):
    index.rows(first, min(first + 8192, count))
print(written - start, time.perf_counter() - written)
"""


def main(
    stage: Annotated[
        str, typer.Option(help="Stage that needs no prompt.", metavar="NAME|FOLDER")
    ] = "vessels",
    weights: Annotated[str | None, typer.Option(help="Weights of its encoder in place of its own.")] = None,
    entries: Annotated[int, typer.Option(min=1, help="Generated entries of the index.")] = 1_000_000,
    images: Annotated[int, typer.Option(min=8, help="Synthetic images.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: cuda where there is one.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer entries and images: shows that it works.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures; - for standard output.")
    ] = None,
) -> None:
    """Measure the index, workers and a restart, and project a million images."""
    if quick:
        entries, images = min(entries, 200_000), min(images, 8)
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        place = choose_device(device)
        listed = measure_index(Path(folder), entries)
        predictor = StagePredictor(stage, weights=weights, device=place)
        study = draw_images(Path(folder), images)
        torch.set_num_threads(1)  # for each worker as many; and threads of OpenMP do not survive a fork
        counts = WORKERS if place.type == "cpu" else WORKERS[:1]  # a process cannot take over another's GPU
        rows = [measure_workers(Path(folder), study, stage, predictor, count) for count in counts]
        restart = measure_restart(Path(folder), entries, stage, rows[0]["images_per_second"])
    result = {
        "machine": {"cores": os.cpu_count(), "device": _device_name(place)},
        "stage": stage,
        "index": listed,
        "workers": rows,
        "restart": restart,
        "projection": project(rows[0], _device_name(place)),
    }
    if json_file is not None:
        write_json(result, json_file)
    if str(json_file) != "-":
        show(result)


def measure_index(folder: Path, entries: int) -> list[dict[str, Any]]:
    """Write and read indices of a tenth of the entries and of all, each in a process of its own."""
    rows = []
    for count in (max(1, entries // 10), entries):
        path, lines = folder / "generated.parquet", []
        command = [sys.executable, "-c", WRITE_AND_READ, str(path), str(count)]
        usage = run_measured(command, {}, folder / "index.log", lines.append)
        written, read = map(float, lines[-1].split())
        rows.append(
            {
                "entries": count,
                "write_seconds": round(written, 2),
                "read_seconds": round(read, 2),
                "file_mb": round(path.stat().st_size / 1e6, 1),
                "peak_mib": usage.peak_bytes // 2**20,
            }
        )
    return rows


def draw_images(folder: Path, count: int) -> Path:
    """Draw synthetic angiograms and return their index."""
    (folder / "study").mkdir()
    for number in range(count):
        Image.fromarray(generate_phantom(number % 8).image).save(folder / "study" / f"{number:05d}.png")
    index_images([folder / "study"], folder / "study.parquet")
    return folder / "study.parquet"


def measure_workers(
    folder: Path, study: Path, stage: str, predictor: StagePredictor, workers: int
) -> dict[str, Any]:
    """Predict all images by some workers; the clock runs while they work, not while they load."""
    run = begin_run(study, stage, folder / f"by {workers}", shard_size=4)
    start = time.perf_counter()
    if workers == 1:
        found = work_on_shards(run, lambda: predictor)
    else:
        context = multiprocessing.get_context("fork")
        reports = context.Queue()
        for number in range(workers):
            context.Process(
                target=_work, args=(run, predictor, WorkerPlace(number, workers), reports)
            ).start()
        found = [report for _ in range(workers) for report in reports.get()]
    seconds = time.perf_counter() - start
    summary = summarise_run(run)
    total = sum(report.total for report in found)
    return {
        "workers": workers,
        "images": summary.done,
        "images_per_second": round(summary.done / seconds, 3),
        "network": round(sum(report.network for report in found) / total, 3),
        "waiting_for_images": round(sum(report.for_images for report in found) / total, 3),
        "waiting_for_files": round(sum(report.for_files for report in found) / total, 3),
    }


def _work(run: PredictionRun, predictor: StagePredictor, place: WorkerPlace, reports: Any) -> None:
    reports.put(work_on_shards(run, lambda: predictor, place))


def measure_restart(folder: Path, entries: int, stage: str, rate: float) -> dict[str, Any]:
    """Measure how long it takes to see what is left of a run in which all shards but the last are done."""
    (folder / "data").mkdir()
    picture = folder / "data" / "0.png"
    picture.write_bytes(b"")  # a run begins if one of the first images is there
    generated = (
        IndexedImage(str(number), str(folder / "data" / f"{number}.png"), 0, None)
        for number in range(entries)
    )
    index = write_index(folder / "data.parquet", generated)
    run = begin_run(index, stage, folder / "restarted")
    for shard in range(run.shards - 1):
        run.folder(shard).mkdir(parents=True)
        (run.folder(shard) / "manifest.json").touch()
    start = time.perf_counter()
    again = begin_run(index, stage, folder / "restarted")
    left = [shard for shard in range(again.shards) if not again.is_done(shard)]
    seconds = time.perf_counter() - start
    size = again.settings["shard_size"]
    return {
        "shards": again.shards,
        "left": len(left),
        "seconds_to_see_what_is_left": round(seconds, 2),
        "shard_size": size,
        "seconds_lost_by_a_killed_worker_at_most": round(size / rate, 1),
    }


def project(row: dict[str, Any], device: str) -> dict[str, Any]:
    """Scale the rate of one worker to a million images on 1 and 100 GPUs."""
    rate = row["images_per_second"]
    return {
        "is": "a projection, not a measurement",
        "assumptions": [
            f"one worker a GPU, each as fast as one worker here: {rate} images a second on {device}",
            "workers do not slow each other down: shards are independent, nothing is sent between workers",
            "the storage delivers images and takes masks as fast as here, for all workers together",
            f"a worker starts in {START_SECONDS} s and none fails; at the end all wait for one shard of 256 images",
        ],
        "rows": [
            {
                "gpus": gpus,
                "images": PROJECTED,
                "hours": round((PROJECTED / gpus / rate + 256 / rate * (gpus > 1) + START_SECONDS) / 3600, 2),
            }
            for gpus in GPUS
        ],
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as tables."""
    for title, rows in (
        ("Index of generated entries", result["index"]),
        (f"Workers side by side on {result['machine']['cores']} cores", result["workers"]),
        ("Restart", [result["restart"]]),
        ("Projection, not measured", result["projection"]["rows"]),
    ):
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column.replace("_", " "), justify="right")
        for row in rows:
            table.add_row(*(f"{value:,}" if not isinstance(value, str) else value for value in row.values()))
        console.print(table)
    console.print("The projection assumes:")
    for assumption in result["projection"]["assumptions"]:
        console.print(f"- {assumption}", highlight=False, soft_wrap=True)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "one core of this CPU"


if __name__ == "__main__":
    typer.run(main)
