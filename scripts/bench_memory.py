"""Compare predicted with measured peaks of training steps.

    python scripts/bench_memory.py --quick --json memory.json      # tiny alone, under a minute on two cores
    python scripts/bench_memory.py                                 # also LiteMedSAM and SAM ViT-B at small sizes
    python scripts/bench_memory.py --device cuda                   # on a GPU, with SAM 3 at 1008

Weights are random (nothing is downloaded). On CUDA the measured peak is ``torch.cuda.max_memory_allocated``, on the CPU
the bytes that torch's profiler saw allocated. Each row is measured in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console

#: Encoder, side, batch; each with LoRA and full training, with and without checkpointing.
QUICK = [("tiny", 168, 2)]
CPU = [("tiny", 336, 2), ("medsam_lite", 256, 1), ("sam_vit_b", 256, 1)]
CUDA = [*CPU, ("sam_vit_b", 1024, 1), ("sam3", 1008, 1), ("sam3", 1008, 2)]
WAYS: list[dict[str, Any]] = [
    {"strategy": "lora"},
    {"strategy": "lora", "checkpointing": True},
    {"strategy": "frozen"},
    {"strategy": "full"},
]


def main(
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quick: Annotated[bool, typer.Option(help="tiny at 168, batch 2: under a minute.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Predict and measure peaks, and print both in one table."""
    if child is not None:
        print(json.dumps([row(settings) for settings in json.loads(child)]))
        return
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    steps = QUICK if quick else CUDA if device == "cuda" else CPU
    rows: list[dict[str, Any]] = []
    for encoder, side, batch in steps:
        settings = [
            {"encoder": encoder, "image_size": side, "batch": batch, "device": device, **way} for way in WAYS
        ]
        with console.status(f"{encoder} at {side}"):
            rows += rows_apart(settings)
    console.print(as_table(rows))
    errors = [abs(row["error_percent"]) for row in rows if "error_percent" in row]
    if errors:
        console.print(
            f"Error of the prediction: mean {sum(errors) / len(errors):.1f} %, worst {max(errors):.1f} %"
        )
    if json_file is not None:
        from monai_lora_sam.data.datalist import write_json

        write_json(json_file, {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "results": rows})
    if len(errors) < len(rows):
        raise typer.Exit(1)


def rows_apart(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows from a process of their own; those of one that fails hold ``error``."""
    run = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(settings)], capture_output=True, text=True
    )
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    said = run.stderr.strip().splitlines()
    reason = said[-1] if run.returncode > 0 and said else f"ended by signal {-run.returncode}"
    return [{**one, "error": reason} for one in settings]


def row(settings: dict[str, Any]) -> dict[str, Any]:
    """Predict and measure one step in this process."""
    from monai_lora_sam.memory import StepConfiguration, measure, predict

    configuration = StepConfiguration(**settings)
    started = time.perf_counter()
    prediction = predict(configuration)
    seconds = time.perf_counter() - started
    try:
        measured = measure(configuration)
    except RuntimeError as error:  # out of memory
        return {**settings, "predicted_bytes": prediction.peak, "error": str(error).splitlines()[0]}
    return {
        **asdict(prediction.resolved()),
        "device_name": measured.device,
        "parts": prediction.parts,
        "predicted_bytes": prediction.peak,
        "measured_bytes": measured.peak,
        "error_percent": 100 * (prediction.peak / measured.peak - 1),
        "prediction_seconds": seconds,
        "step_seconds": measured.seconds,
    }


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures for the console."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("encoder, side, batch", no_wrap=True)
    table.add_column("training", no_wrap=True)
    for column in ("predicted MiB", "measured MiB", "error %", "prediction s", "on"):
        table.add_column(column, justify="right")
    for row in rows:
        step = f"{row['encoder']} {row['image_size']} ×{row['batch']}"
        way = row["strategy"] + (", checkpointing" if row.get("checkpointing") else "")
        if "error" in row:
            table.add_row(step, way, "", f"failed: {row['error']}")
            continue
        table.add_row(
            step,
            way,
            f"{row['predicted_bytes'] / 2**20:.0f}",
            f"{row['measured_bytes'] / 2**20:.0f}",
            f"{row['error_percent']:+.1f}",
            f"{row['prediction_seconds']:.1f}",
            row["device_name"],
        )
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
