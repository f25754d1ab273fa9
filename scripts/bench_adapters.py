"""Measure adapters on a base in float32, bfloat16 and 4 bits: bytes, peaks, switching, mixed batches.

    python scripts/bench_adapters.py --quick --json adapters.json     # LiteMedSAM at 64 pixels, under a minute
    python scripts/bench_adapters.py                                  # also SAM ViT-B, both at 256 pixels
    python scripts/bench_adapters.py --device cuda --encoder sam_vit_h --image-size 1024

Weights are random (nothing is downloaded); neither bytes nor times depend on them. Disk: the files of the saved base.
Weights: its parameters and buffers as they are held. Peaks: of a step of one image with LoRA (r = 8) and a segmentation
head, as `bench_memory.py` measures them; a base in bfloat16 runs on CUDA alone. Switch: the median time of `activate`
from one adapter to another. Mixed: a batch of four images with three adapters and the bare base among them, against the
same images one after another, and the largest difference of the features. Each row has a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console

ENCODERS = ("medsam_lite", "sam_vit_b")
SIDE = 256
#: Arguments of `build_encoder` by row.
PRECISIONS: dict[str, dict[str, str]] = {
    "float32": {"base": "float32"},
    "bfloat16": {"base": "bfloat16"},
    "nf4": {"quantise": "nf4"},
}
RANK = 8
ADAPTERS = ("ct", "mr", "us")
#: Adapter of each image of the mixed batch; None for the bare base.
MIXED = (*ADAPTERS, None)
SWITCHES = 20


def main(
    encoder: Annotated[
        list[str] | None, typer.Option(help=f"Default: {', '.join(ENCODERS)}; repeatable.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help=f"Side in pixels. Default: {SIDE}.")] = None,
    runs: Annotated[int, typer.Option(help="Measured batches; their median is given.", min=1)] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quick: Annotated[bool, typer.Option(help="LiteMedSAM at 64 pixels: under a minute.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure each base in each precision, and print one table."""
    if child is not None:
        print(json.dumps(measure_row(**json.loads(child))))
        return
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if quick:
        encoder, image_size, runs = encoder or ["medsam_lite"], image_size or 64, 2
    rows = []
    for name in encoder or ENCODERS:
        for precision in PRECISIONS:
            settings = {
                "encoder": name,
                "precision": precision,
                "image_size": image_size or SIDE,
                "runs": runs,
                "device": device,
            }
            with console.status(f"{name}, {precision}"):
                rows.append(measure_apart(settings))
    console.print(as_table(rows))
    if json_file is not None:
        from monai_lora_sam.data.datalist import write_json

        write_json(json_file, {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "results": rows})
    failed = [row for row in rows if "error" in row]
    for row in failed:
        console.print(f"failed: {row['encoder']}, {row['precision']}: {row['error']}", markup=False)
    if failed:
        raise typer.Exit(1)


def measure_apart(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a row from a process of its own; that of one that fails holds ``error``."""
    run = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(settings)], capture_output=True, text=True
    )
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    said = run.stderr.strip().splitlines()
    return {**settings, "error": said[-1] if said else f"ended with {run.returncode}"}


def measure_row(encoder: str, precision: str, image_size: int, runs: int, device: str) -> dict[str, Any]:
    """Measure one base in one precision in this process."""
    import torch

    from monai_lora_sam.adapters import AdapterStack
    from monai_lora_sam.encoders import build_encoder, save_encoder

    torch.manual_seed(0)
    how = PRECISIONS[precision]
    base = build_encoder(
        encoder,
        False,
        image_size,
        getattr(torch, how.get("base", "float32")),
        quantise=how.get("quantise"),
    )
    row: dict[str, Any] = {"encoder": encoder, "precision": precision, "image_size": image_size}
    row |= {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}
    row["weight_bytes"] = base.weight_bytes
    with tempfile.TemporaryDirectory() as folder:
        save_encoder(base, Path(folder) / "base")
        row["disk_bytes"] = sum(path.stat().st_size for path in (Path(folder) / "base").iterdir())
    runnable = device == "cuda" or precision != "bfloat16"
    for use in ("inference", "training"):
        row[f"{use}_peak_bytes"] = (
            peak(encoder, image_size, device, use == "training", how) if runnable else None
        )
    stack = AdapterStack(base.to(device))
    for name in ADAPTERS:
        stack.add(name, r=RANK)
    for key, parameter in stack.named_parameters():
        if "lora_B" in key:  # zeros would add nothing
            torch.nn.init.normal_(parameter, std=0.05)
    stack.to(device).eval()
    row["switch_seconds"] = switch_seconds(stack)
    return row | (mixed_batch_figures(stack, image_size, runs, device) if runnable else {})


def peak(encoder: str, side: int, device: str, training: bool, how: dict[str, str]) -> int:
    """Return the peak of a step in bytes."""
    from monai_lora_sam.memory import StepConfiguration, measure

    return measure(
        StepConfiguration(encoder, side, rank=RANK, device=device, training=training, **how)  # type: ignore[arg-type]
    ).peak


def switch_seconds(stack: Any) -> float:
    """Return the median seconds of switching from one adapter to another."""
    seconds = []
    for number in range(SWITCHES):
        started = time.perf_counter()
        stack.activate(ADAPTERS[number % len(ADAPTERS)])
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def mixed_batch_figures(stack: Any, side: int, runs: int, device: str) -> dict[str, Any]:
    """Return the median seconds of a mixed batch and of the same images one after another, and their difference."""
    import torch

    from monai_lora_sam.adapters import mixed_batch

    images = torch.randn(len(MIXED), 3, side, side, device=device)

    def together() -> torch.Tensor:
        with mixed_batch(stack, MIXED):
            return stack(images)[-1]

    def alone() -> torch.Tensor:
        features = []
        for name, image in zip(MIXED, images, strict=True):
            stack.activate(*[name] * (name is not None))
            features.append(stack(image[None])[-1])
        return torch.cat(features)

    found: dict[str, Any] = {}
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        difference = (together() - alone()).abs().max()
        for name, run in (("mixed", together), ("alone", alone)):
            seconds = []
            for _ in range(runs):
                started = time.perf_counter()
                run()
                if device == "cuda":
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - started)
            found[f"{name}_seconds"] = median(seconds)
    return {**found, "largest_difference": float(difference)}


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures for the console; bytes with their share of float32's."""
    good = [row for row in rows if "error" not in row]
    title = f"{good[0]['device']}, {good[0]['threads']} threads, torch {good[0]['torch']}" if good else None
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("base, side, precision", no_wrap=True)
    bytes_ = {
        "disk_bytes": "disk MiB",
        "weight_bytes": "weights MiB",
        "inference_peak_bytes": "inference MiB",
        "training_peak_bytes": "training MiB",
    }
    for column in (*bytes_.values(), "switch ms", "mixed s", "one by one s", "difference"):
        table.add_column(column, justify="right")
    for row in good:
        first = next(other for other in good if other["encoder"] == row["encoder"])
        cells = []
        for key in bytes_:
            share = "" if row is first or row[key] is None else f" ({row[key] / first[key]:.2f})"
            cells.append("–" if row[key] is None else f"{row[key] / 2**20:.1f}{share}")
        cells.append(f"{1000 * row['switch_seconds']:.2f}")
        cells += [f"{row[key]:.3f}" if key in row else "–" for key in ("mixed_seconds", "alone_seconds")]
        cells.append(f"{row['largest_difference']:.0e}" if "largest_difference" in row else "–")
        table.add_row(f"{row['encoder']} {row['image_size']} {row['precision']}", *cells)
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
