"""Measure parameters, operations, latency and peak memory of image encoders, side by side.

    python scripts/bench_encoders.py                                  # SAM ViT-H takes minutes on two cores
    python scripts/bench_encoders.py --quick --json encoders.json     # small sides, under a minute on two cores
    python scripts/bench_encoders.py --encoder mini --encoder repvit_m1 --runs 20
    python scripts/bench_encoders.py --bfloat16 --device cuda
    python scripts/bench_encoders.py --quantise nf4                   # in 4 bits; bytes of weights in each precision

Each encoder, with its neck, runs at the side that it is meant for, alone and with SAM's prompt encoder and mask decoder
for one box. Weights are random (nothing is downloaded) and so is the image; neither speed nor memory depends on them.
Operations are counted by torch (two for each multiplication with addition). Latency is the median of several runs
(fewer where they take long) after a first one. Ratios are to the first row on the same device.

Every row is measured in a process of its own, forked from one that has the libraries loaded. Its peak is, on CUDA,
what torch allocated at most; on CPU, how far the peak resident set grew beyond its value before the network was built.
Both hold weights and activations, on CPU also the float32 weights that are quantised.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console

# torch and the package are imported in the process that is forked, which computes nothing itself: neither threads nor
# a device are in use when it forks.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["monai_lora_sam.networks", "torch.utils.flop_counter"])

#: Encoders in the order of the table, and the side in pixels of each with `--quick`. "+fused" stands for the copy whose
#: branches are fused for inference.
ENCODERS = {
    "sam_vit_h": None,
    "sam_vit_b": None,
    "mobile_sam": 256,
    "medsam_lite": 64,
    "mini": 128,
    "mini_vit": 128,
    "repvit_m1": 128,
    "repvit_m1+fused": 128,
}
#: Those without linear layers, which 4 bits leave as they are.
CONVOLUTIONS = ("mini", "repvit_m1", "repvit_m1+fused")
#: Seconds after which no further run of a row begins; SAM ViT-H takes more than a minute for one on two cores.
LONGEST = 30
RATIOS = ("parameters", "whole_flops", "whole_seconds", "peak_bytes")
EXAMPLES = """Examples:

python scripts/bench_encoders.py --quick --json encoders.json

python scripts/bench_encoders.py --encoder sam_vit_b --encoder mini --runs 20 --bfloat16

python scripts/bench_encoders.py --encoder sam_vit_b --quantise nf4
"""


def main(
    encoder: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(ENCODERS)}; repeatable. Default: all.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels. Default: each encoder's own.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Measured runs; their median is given.", min=1)] = 5,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, …; auto: the CPU, and CUDA where there is one.")
    ] = "auto",
    bfloat16: Annotated[bool, typer.Option(help="Run the encoder in bfloat16 autocast.")] = False,
    quantise: Annotated[
        str | None,
        typer.Option(help="nf4: linear layers in 4 bits; by default without encoders that have none."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help="Small sides, without SAM's own: under a minute.")] = False,
) -> None:
    """Measure parameters, operations, latency and peak memory of encoders, each in a process of its own."""
    if quick:
        small = [name for name, side in ENCODERS.items() if side and not (quantise and name in CONVOLUTIONS)]
        encoder, runs = encoder or small, 3
    if quantise and not encoder:
        encoder = [name for name in ENCODERS if name not in CONVOLUTIONS]
    devices = [device]
    if device == "auto":
        devices = ["cpu", *["cuda"] * run_apart(has_cuda)]
    rows = []
    for place in devices:
        group = []
        for name in encoder or ENCODERS:
            side = image_size or (ENCODERS.get(name) if quick else None)
            settings = {"encoder": name, "image_size": side, "runs": runs, "device": place}
            with console.status(f"{name}, {place}"):
                group.append(measure_apart({**settings, "bfloat16": bfloat16, "quantise": quantise}))
        rows += compare_with_first(group)
        console.print(as_table(group))
        if quantise:
            console.print(as_weights_table(group))
    if json_file is not None:
        from monai_lora_sam.data.datalist import write_json

        write_json(json_file, {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "results": rows})
    failed = [row for row in rows if "error" in row]
    for row in failed:
        console.print(f"failed: {row['encoder']}, {row['device']}: {row['error']}", markup=False)
    if failed:
        raise typer.Exit(1)


def measure_apart(settings: dict[str, Any]) -> dict[str, Any]:
    """Measure in a new process; a row that fails (out of memory, say) holds ``error`` instead of figures."""
    try:
        return run_apart(measure, **settings)
    except BrokenProcessPool:
        return {**settings, "error": "ended by the system"}
    except Exception as error:  # whatever an encoder says
        return {**settings, "error": f"{type(error).__name__}: {error}".splitlines()[0]}


def run_apart(function: Callable[..., Any], **arguments: Any) -> Any:
    """Run a function of this module in a new process and return its result."""
    with ProcessPoolExecutor(1, mp_context=FORKS) as pool:
        return pool.submit(function, **arguments).result()


def has_cuda() -> bool:
    """Return whether torch finds a GPU."""
    import torch

    return torch.cuda.is_available()


def measure(
    encoder: str, image_size: int | None, runs: int, device: str, bfloat16: bool, quantise: str | None = None
) -> dict[str, Any]:
    """Run one encoder in this process, alone and with the mask decoder, and return its figures."""
    import torch

    from monai_lora_sam.networks import choose_device

    place = choose_device(device)
    cuda = place.type == "cuda"
    _build("mini", 32, place)[1]()  # loads the libraries
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(place)
    before = _peak_resident_bytes()
    base, encode, decode = _build(encoder, image_size, place, bfloat16, quantise)
    figures: dict[str, Any] = {}
    for part, run in (("encoder", encode), ("decoder", decode)):
        run()
        seconds: list[float] = []
        while len(seconds) < runs and sum(seconds) < LONGEST:
            if cuda:
                torch.cuda.synchronize(place)
            started = time.perf_counter()
            run()
            if cuda:
                torch.cuda.synchronize(place)
            seconds.append(time.perf_counter() - started)
        figures |= {f"{part}_seconds": median(seconds), f"{part}_runs": len(seconds)}
    peak = torch.cuda.max_memory_allocated(place) if cuda else _peak_resident_bytes() - before
    figures["decoder_flops"] = count_operations(decode)
    with torch.device("meta"):  # in full precision: a 4-bit layer does not run without weights
        plain = _plain(encoder, image_size)
        image = torch.zeros(1, 3, base.image_size, base.image_size)
    figures["encoder_flops"] = count_operations(lambda: plain(image))
    return {
        "encoder": encoder,
        "image_size": base.image_size,
        "embedding": list(decode.embedding),  # type: ignore[attr-defined]
        "parameters": sum(parameter.numel() for parameter in plain.parameters()),
        "weight_bytes": {
            "float32": plain.weight_bytes,
            "bfloat16": plain.to(torch.bfloat16).weight_bytes,
            **({quantise: base.weight_bytes} if quantise else {}),
        },
        **figures,
        "whole_flops": figures["encoder_flops"] + figures["decoder_flops"],
        "whole_seconds": figures["encoder_seconds"] + figures["decoder_seconds"],
        "peak_bytes": peak,
        "peak_is": "cuda allocated" if cuda else "growth of resident set",
        "device": torch.cuda.get_device_name(place) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "bfloat16": bfloat16,
        "quantise": quantise,
        "torch": torch.__version__,
    }


def count_operations(run: Callable[[], Any]) -> int:
    """Return the floating point operations of a function, attention included, two for each multiplication."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # torch does not count its fused attention on a CPU; two matrix products in its place it does.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def _plain(encoder: str, side: int | None, quantise: str | None = None) -> Any:
    """Build an encoder by its name in the table."""
    from monai_lora_sam.encoders import build_encoder

    name, _, fuse = encoder.partition("+")
    base: Any = build_encoder(name, image_size=side, quantise=quantise).requires_grad_(False)
    return base.fused() if fuse else base


def _build(
    encoder: str, side: int | None, place: Any, bfloat16: bool = False, quantise: str | None = None
) -> tuple[Any, Any, Any]:
    """Build an encoder and a mask decoder; return the encoder and functions that run each of the two once."""
    import torch

    from monai_lora_sam.networks import PromptHead

    torch.manual_seed(0)
    base = _plain(encoder, side, quantise)
    base = base.to(place, memory_format=torch.channels_last)
    head = PromptHead(base.channels).requires_grad_(False).eval().to(place)
    side = base.image_size
    image = torch.randn(1, 3, side, side, device=place).to(memory_format=torch.channels_last)
    box_prompt = torch.tensor([[[0.25, 0.25, 0.75, 0.75]]], device=place) * side

    class Decode:
        embedding: tuple[int, ...] = ()
        features: Any = None

        def __call__(self) -> None:
            head(self.features, side, boxes=box_prompt)

    decode = Decode()

    def encode() -> None:
        with torch.autocast(place.type, torch.bfloat16, enabled=bfloat16):
            decode.features = base(image)[-1]
        decode.embedding = tuple(decode.features.shape[1:])

    return base, encode, decode


def _peak_resident_bytes() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def compare_with_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add each figure's ratio to the first row that was measured."""
    first = next((row for row in rows if "error" not in row), None)
    for row in rows:
        if first is not None and "error" not in row:
            row["ratios"] = {key: row[key] / first[key] if first[key] else None for key in RATIOS}
            row["ratios_to"] = first["encoder"]
    return rows


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures for the console, each total with its ratio to the first row."""
    good = next((row for row in rows if "error" not in row), None)
    title = None
    if good is not None:
        precision = "bfloat16" if good["bfloat16"] else "float32"
        title = (
            f"{good['device']}, {good['threads']} threads, {precision}, torch {good['torch']}; "
            f"in brackets: of {good['encoder']}"
        )
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("encoder, side", no_wrap=True)
    for column in ("M params", "GFLOPs", "+ decoder", "s", "+ decoder", "peak MiB"):
        table.add_column(column, justify="right")
    for row in rows:
        run = f"{row['encoder']} {row['image_size'] or ''}"
        if "error" in row:
            table.add_row(run, "failed")
            continue
        shares = {
            key: "" if ratio is None else f" ({ratio:.3f})" for key, ratio in row.get("ratios", {}).items()
        }
        table.add_row(
            run,
            f"{row['parameters'] / 1e6:.1f}{shares.get('parameters', '')}",
            f"{row['encoder_flops'] / 1e9:.1f}",
            f"{row['whole_flops'] / 1e9:.1f}{shares.get('whole_flops', '')}",
            f"{row['encoder_seconds']:.3f}",
            f"{row['whole_seconds']:.3f}{shares.get('whole_seconds', '')}",
            f"{row['peak_bytes'] / 2**20:.0f}{shares.get('peak_bytes', '')}",
        )
    return table


def as_weights_table(rows: list[dict[str, Any]]) -> Table:
    """Return the MiB of each encoder's weights in each precision."""
    good = [row for row in rows if "error" not in row]
    table = Table(title="weights, MiB", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in ("encoder", *(good[0]["weight_bytes"] if good else ())):
        table.add_column(column, justify="left" if column == "encoder" else "right")
    for row in good:
        table.add_row(row["encoder"], *(f"{count / 2**20:.1f}" for count in row["weight_bytes"].values()))
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(epilog=EXAMPLES)(main)
    app()
