"""Measure seconds and peak memory of one training step, per encoder and strategy.

    python scripts/bench_training_step.py --image-size 504                   # tiny, batch 4
    python scripts/bench_training_step.py --quick --json step.json           # under a minute on two cores
    python scripts/bench_training_step.py --encoder sam_vit_b --batch 1 --checkpointing
    python scripts/bench_training_step.py --strategy lora --image-size 336 --float32 --contiguous   # do they pay?
    python scripts/bench_training_step.py --encoder sam3 --batch 1 --batch 2 --device cuda

The step is the bundle's: bfloat16 autocast, channels-last, AdamW, binary cross-entropy and Dice. Weights are
random (nothing is downloaded) and so are images and masks; speed and memory do not depend on them.

Every row is measured in a process of its own. Its peak memory is, on CUDA, what torch allocated at most; on CPU,
how far the peak resident set grew beyond its value before network, optimiser and batch were built. Both hold
weights, gradients, the optimiser's state and activations, but not the libraries, which a step of a miniature
network has loaded before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console

# torch and the package are imported inside the measuring process alone: a process inherits the peak resident
# set of the one that started it, so that one has to stay small.

STRATEGIES = ("lora", "frozen", "last_n", "full")
EXAMPLES = """Examples:

python scripts/bench_training_step.py --quick --json step.json

python scripts/bench_training_step.py --encoder sam_vit_b --strategy lora --strategy full --batch 1

python scripts/bench_training_step.py --encoder sam3 --image-size 1008 --batch 1 --batch 2 --device cuda
"""


def main(
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="tiny, sam3, sam_vit_b, sam_vit_l, sam_vit_h; repeatable. Default: tiny."),
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="lora, frozen, last_n, full; repeatable. Default: all four.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels. Default: the encoder's own.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Images a step; repeatable. Default: 4.")] = None,
    steps: Annotated[int, typer.Option(help="Measured steps; their median is given.", min=1)] = 5,
    warm_up: Annotated[int, typer.Option(help="Steps before that are not counted.", min=0)] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    checkpointing: Annotated[bool, typer.Option(help="Switch gradient checkpointing on.")] = False,
    float32: Annotated[bool, typer.Option(help="Without bfloat16 autocast.")] = False,
    contiguous: Annotated[bool, typer.Option(help="Without channels-last.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help="tiny at 168, batch 2, three steps: under a minute.")] = False,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure seconds and peak memory of one training step, each row in a process of its own."""
    if child is not None:
        print(json.dumps(measure(**json.loads(child))))
        return
    if quick:
        encoder, image_size, batch, steps, warm_up = ["tiny"], 168, [2], 3, 1
    settings = {
        "image_size": image_size,
        "steps": steps,
        "warm_up": warm_up,
        "device": device,
        "checkpointing": checkpointing,
        "float32": float32,
        "contiguous": contiguous,
    }
    rows = []
    for name in encoder or ["tiny"]:
        for size in batch or [4]:
            group = []
            for how in strategy or STRATEGIES:
                with console.status(f"{name}, {how}, batch {size}"):
                    group.append(measure_apart({"encoder": name, "strategy": how, "batch": size, **settings}))
            rows += compare_with_full(group)
    console.print(as_table(rows))
    if json_file is not None:
        from monai_lora_sam.data.datalist import write_json

        write_json(json_file, {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "results": rows})
    failed = [row for row in rows if "error" in row]
    for row in failed:
        console.print(
            f"failed: {row['encoder']}, {row['strategy']}, batch {row['batch']}: {row['error']}", markup=False
        )
    if failed:
        raise typer.Exit(1)


def measure_apart(settings: dict[str, Any]) -> dict[str, Any]:
    """Measure in a new process; a row that fails (out of memory, say) holds ``error`` instead of figures."""
    run = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(settings)], capture_output=True, text=True
    )
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    said = run.stderr.strip().splitlines()
    reason = said[-1] if run.returncode > 0 and said else f"ended by signal {-run.returncode}"
    return {**settings, "error": reason}


def measure(
    encoder: str,
    strategy: str,
    batch: int,
    image_size: int | None,
    steps: int,
    warm_up: int,
    device: str,
    checkpointing: bool,
    float32: bool,
    contiguous: bool,
) -> dict[str, Any]:
    """Run training steps in this process and return their seconds and peak memory."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    cuda = place.type == "cuda"
    how = {"checkpointing": checkpointing, "float32": float32, "contiguous": contiguous}
    _steps("tiny", strategy, 1, 56, 1, place, **how)
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(place)
    before = _peak_resident_bytes()
    seconds, facts = _steps(encoder, strategy, batch, image_size, warm_up + steps, place, **how)
    peak = torch.cuda.max_memory_allocated(place) if cuda else _peak_resident_bytes() - before
    middle = median(seconds[warm_up:])
    return {
        "encoder": encoder,
        "strategy": strategy,
        "batch": batch,
        **facts,
        **how,
        "device": torch.cuda.get_device_name(place) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "steps": steps,
        "seconds_per_step": middle,
        "images_per_second": batch / middle,
        "peak_bytes": peak,
        "peak_is": "cuda allocated" if cuda else "growth of resident set",
        "torch": torch.__version__,
    }


def _steps(
    encoder: str,
    strategy: str,
    batch: int,
    image_size: int | None,
    count: int,
    place: Any,
    checkpointing: bool,
    float32: bool,
    contiguous: bool,
) -> tuple[list[float], dict[str, int]]:
    """Build network, optimiser and batch, train ``count`` steps; return seconds of each and some facts."""
    import torch

    from monai_lora_sam.coronary.losses import VesselLoss
    from monai_lora_sam.encoders import build_encoder
    from monai_lora_sam.networks import build_segmenter

    torch.manual_seed(0)
    base = build_encoder(encoder, image_size=image_size, gradient_checkpointing=checkpointing)
    network = (
        build_segmenter(
            base, "view_segmentation", name="vessels", strategy=strategy, mixed_precision=not float32
        )
        .to(place)
        .train()
    )
    network = network.to(memory_format=torch.contiguous_format if contiguous else torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameter_groups(1e-3, 1e-4), weight_decay=0.01)
    side = base.image_size
    image = torch.randn(batch, 3, side, side, device=place)
    mask = (torch.rand(batch, 1, side, side, device=place) > 0.95).to(torch.uint8)
    loss_function = VesselLoss()
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss_function(network(image), mask).backward()
        optimizer.step()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        seconds.append(time.perf_counter() - started)
    facts = {
        "image_size": side,
        "parameters": sum(p.numel() for p in network.parameters()),
        "trainable": sum(p.numel() for p in network.parameters() if p.requires_grad),
    }
    return seconds, facts


def _peak_resident_bytes() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def compare_with_full(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the ratios of time and memory to the row ``full``, where it was measured."""
    full = next((row for row in rows if row["strategy"] == "full" and "error" not in row), None)
    for row in rows:
        if full is not None and "error" not in row:
            row["seconds_to_full"] = row["seconds_per_step"] / full["seconds_per_step"]
            row["peak_to_full"] = row["peak_bytes"] / full["peak_bytes"] if full["peak_bytes"] else None
    return rows


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures for the console."""
    good = next((row for row in rows if "error" not in row), None)
    title = f"{good['device']}, {good['threads']} threads, torch {good['torch']}" if good else None
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("encoder, side, batch", no_wrap=True)
    table.add_column("strategy", no_wrap=True)
    for column in ("trained (M)", "s/step", "images/s", "peak MiB", "s to full", "peak to full"):
        table.add_column(column, justify="right")
    for row in rows:
        run = f"{row['encoder']} {row['image_size'] or 'own size'} ×{row['batch']}"
        if "error" in row:
            table.add_row(run, row["strategy"], "failed")
            continue
        ratios = [row.get("seconds_to_full"), row.get("peak_to_full")]
        table.add_row(
            run,
            row["strategy"],
            f"{row['trainable'] / 1e6:.2f}",
            f"{row['seconds_per_step']:.3f}",
            f"{row['images_per_second']:.2f}",
            f"{row['peak_bytes'] / 2**20:.0f}",
            *("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        )
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(epilog=EXAMPLES)(main)
    app()
