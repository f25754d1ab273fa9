"""Measure an epoch of heads with and without the feature cache, and where its time goes.

    python scripts/bench_feature_cache.py                                     # tiny at 336, stages 3 and 1
    python scripts/bench_feature_cache.py --quick --json cache.json           # under a minute on two cores
    python scripts/bench_feature_cache.py --encoder sam_vit_b --image-size 512 --images 8 --batch 2
    python scripts/bench_feature_cache.py --encoder sam3 --image-size 336 --images 8 --batch 2 --stage 3

An epoch is that of the bundles: MONAI's data loader, bfloat16 autocast, channels-last, the loss, AdamW; without
augmentation and without validation. Images are in memory on both sides, as `cache_rate` 1 keeps them. Weights
and images are random (nothing is downloaded): speed does not depend on them. Epochs with and without take turns,
so that other programs slow both, and the median of each is given.

Besides seconds on the clock the results have seconds of CPU time: on a machine that others use, too, they are the
steadier figure.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from rich import box
from rich.table import Table

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.cli.console import console
from monai_lora_sam.coronary.losses import LesionLoss, VesselLoss
from monai_lora_sam.coronary.networks import build_detector
from monai_lora_sam.data import FeatureDataset, PrepareBatchFeatures, training_items
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import build_segmenter

EXAMPLES = """Examples:

python scripts/bench_feature_cache.py --quick --json cache.json

python scripts/bench_feature_cache.py --encoder sam_vit_b --image-size 512 --images 8 --batch 2

python scripts/bench_feature_cache.py --encoder sam3 --image-size 1008 --images 8 --batch 2 --device cuda
"""


def main(
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="tiny, sam3, sam_vit_b, sam_vit_l, sam_vit_h; repeatable. Default: tiny."),
    ] = None,
    stage: Annotated[
        list[int] | None, typer.Option(help="3 (lesions) or 1 (vessels, frozen); repeatable. Default: both.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels. Default: the encoder's own.")] = 336,
    images: Annotated[int, typer.Option(help="Images an epoch.", min=1)] = 16,
    batch: Annotated[int, typer.Option(help="Images a step.", min=1)] = 4,
    epochs: Annotated[int, typer.Option(help="Measured epochs on each side.", min=1)] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    folder: Annotated[
        Path | None, typer.Option(help="Where the cache goes. Default: a temporary folder.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help="tiny at 168, 8 images, one epoch: under a minute.")] = False,
) -> None:
    """Measure an epoch of heads with and without the feature cache."""
    if quick:
        encoder, image_size, images, epochs = ["tiny"], 168, 8, 1
    if images % batch:
        raise typer.BadParameter(f"--images: expected a multiple of --batch {batch}, found {images}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    for name in encoder or ["tiny"]:
        for number in stage or [3, 1]:
            with (
                console.status(f"{name}, stage {number}"),
                tempfile.TemporaryDirectory(dir=folder) as temporary,
            ):
                rows.append(measure(name, number, image_size, images, batch, epochs, device, Path(temporary)))
    console.print(as_table(rows))
    if json_file is not None:
        write_json(json_file, {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "results": rows})


class Clock:
    """Add up seconds on the clock and of CPU time by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextmanager
    def measuring(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu


def build(encoder: str, stage: int, image_size: int | None) -> tuple[Any, Any]:
    """Return the network of a stage, with random weights and frozen below its head, and its loss."""
    torch.manual_seed(0)
    stack = AdapterStack(build_encoder(encoder, image_size=image_size))
    if stage == 1:
        return build_segmenter(stack, "view_segmentation", name="vessels", strategy="frozen"), VesselLoss()
    if stage != 3:
        raise typer.BadParameter(f"--stage: expected 1 or 3, found {stage}")
    vessels = build_segmenter(stack, "view_segmentation", name="vessels")
    segments = build_segmenter(
        stack, "view_segmentation", out_channels=26, name="segments", lora={"targets": "qkv"}
    )
    network = build_detector(vessels, segments)
    return network, LesionLoss(network.head.stride)


def draw(stage: int, images: int, side: int) -> list[dict[str, Any]]:
    """Return random items as they come out of the bundle's preprocessing."""
    generator = torch.Generator().manual_seed(0)
    items: list[dict[str, Any]] = []
    for _ in range(images):
        label = (torch.rand(1, side, side, generator=generator) > 0.95).to(torch.uint8)
        if stage == 3:
            label = torch.full((16, 8), float("nan"))
            middle = side / 2
            label[0] = torch.tensor([middle - 9, middle - 7, middle + 9, middle + 7, middle, middle, 50, 3])
        image = torch.randn(3, side, side, generator=generator)
        items.append({"image": image, "label": label, "view": torch.tensor([30.0, -20.0])})
    return items


def measure(
    encoder: str,
    stage: int,
    image_size: int | None,
    images: int,
    batch: int,
    epochs: int,
    device: str,
    folder: Path,
) -> dict[str, Any]:
    """Fill a cache, run epochs with and without it, and return their seconds."""
    place = torch.device(device)
    network, loss = build(encoder, stage, image_size)
    network = network.to(place, memory_format=torch.channels_last).train()
    side = network.stack.encoder.image_size
    items = draw(stage, images, side)
    clock = Clock(place)
    with clock.measuring("fill"):
        stored = training_items(
            items,
            Compose([]),
            network,
            feature_cache=True,
            feature_cache_dir=folder,
            condition_keys=["view"],
            device=place,
            batch_size=batch,
            progress=False,
        )
    assert isinstance(stored, FeatureDataset)
    optimizer = torch.optim.AdamW(network.parameter_groups(1e-3, 1e-4))
    extra = {"view": "view"} | ({"boxes": "label"} if stage == 3 else {})
    prepare = PrepareBatchFeatures(extra_keys=extra)
    sides = {"without": Dataset(items), "with": stored}
    clocks: dict[str, list[Clock]] = {name: [] for name in sides}
    # Warm up the head; filling the cache has warmed up the encoder.
    epoch(network, loss, optimizer, prepare, stored, batch, Clock(place))
    for _ in range(epochs):
        for name, dataset in sides.items():
            taken = Clock(place)
            epoch(network, loss, optimizer, prepare, dataset, batch, taken)
            clocks[name].append(taken)
    row: dict[str, Any] = {
        "encoder": encoder,
        "stage": stage,
        "image_size": side,
        "images": images,
        "batch": batch,
        "epochs": epochs,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "trainable": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "bytes_per_image": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / images,
        "fill": {"seconds": clock.wall["fill"], "cpu_seconds": clock.cpu["fill"]},
    }
    for name, taken_by_epoch in clocks.items():
        row[name] = {
            "seconds": median(sum(taken.wall.values()) for taken in taken_by_epoch),
            "cpu_seconds": median(sum(taken.cpu.values()) for taken in taken_by_epoch),
            "share_of_cpu": {
                part: sum(taken.cpu[part] for taken in taken_by_epoch)
                / sum(sum(taken.cpu.values()) for taken in taken_by_epoch)
                for part in taken_by_epoch[0].cpu
            },
        }
    return row


def epoch(
    network: Any,
    loss: Any,
    optimizer: torch.optim.Optimizer,
    prepare: PrepareBatchFeatures,
    dataset: Dataset,
    batch: int,
    clock: Clock,
) -> None:
    """Train one epoch as the bundle does; add its seconds to the clock."""
    batches = iter(DataLoader(dataset, batch_size=batch, shuffle=True))
    for _ in range(len(dataset) // batch):
        with clock.measuring("loading"):
            image, label, _, named = prepare(next(batches), clock.device)
        with clock.measuring("forward"):
            value = loss(network(image, **named), label)
        with clock.measuring("backward"):
            optimizer.zero_grad(set_to_none=True)
            value.backward()
        with clock.measuring("optimiser"):
            optimizer.step()


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures for the console."""
    first = rows[0]
    title = f"{first['device']}, {first['threads']} threads, torch {first['torch']}; seconds an image"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("encoder, side, stage", no_wrap=True)
    for column in ("time", "fill", "without", "with", "faster", "loading", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        for kind, key in (("clock", "seconds"), ("CPU", "cpu_seconds")):
            each = [row[part][key] / row["images"] for part in ("fill", "without", "with")]
            table.add_row(
                f"{row['encoder']} {row['image_size']}, {row['stage']}" if kind == "clock" else "",
                kind,
                *(f"{seconds:.4f}" for seconds in each),
                f"{row['without'][key] / row['with'][key]:.1f}×",
                f"{row['with']['share_of_cpu']['loading']:.1%}" if kind == "CPU" else "",
                f"{row['bytes_per_image'] / 1e6:.2f}" if kind == "clock" else "",
            )
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(epilog=EXAMPLES)(main)
    app()
