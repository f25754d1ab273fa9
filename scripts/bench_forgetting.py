"""Measure how much stage 1 forgets while stages 2 and 3 are trained: stacked adapters against full fine-tuning.

    python scripts/bench_forgetting.py ARCADE --work runs/forgetting --json forgetting.json
    python scripts/bench_forgetting.py ARCADE --quick

Both chains start from the same phantom-trained vessel head and have the same images and epochs. After each stage the
vessel stage is scored again, on ARCADE `syntax/val` at each image's own size, with whatever the stage has left of the
encoder. The table also gives the parameters, the bytes and the minutes of each stage. A killed run goes on where it
stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from monai.utils import set_determinism
from rich import box
from rich.progress import Progress
from rich.table import Table

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.coronary.data import prepare_arcade
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.data import read_datalist, write_datalist
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import AdaptedSegmenter
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import run_bundle

#: The bundle of each stage, ARCADE's task for it, and its strategy in the chain of stacked adapters.
STAGES = {
    "vessels": ("vessel_segmentation", "vessels", "lora"),
    "segments": ("segment_classification", "segments", "lora"),
    "stenosis": ("stenosis_detection", "stenosis", "frozen"),
}
QUICK = {"epochs": 1, "image_size": 168, "images": 16}


@one_line_errors()
def main(
    arcade: Annotated[Path, typer.Argument(help="The published folder, which holds syntax/ and stenosis/.")],
    work: Annotated[Path, typer.Option(help="Data, stages and logs; a resumed run needs it.")] = Path(
        "runs/forgetting"
    ),
    epochs: Annotated[int, typer.Option(help="Of each stage.")] = 2,
    image_size: Annotated[int, typer.Option(help="Side in pixels while training and scoring.")] = 336,
    seed: int = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help="A few images and one epoch, to see that it works.")] = False,
) -> None:
    """Train the three stages by adapters and by full fine-tuning, and score stage 1 after each."""
    images = None
    if quick:
        epochs, image_size, images = QUICK["epochs"], QUICK["image_size"], QUICK["images"]
    data = {task: shortened(arcade, work / f"arcade_{task}", task, images) for _, task, _ in STAGES.values()}
    rows: list[dict[str, Any]] = []
    for chain in ("adapters", "full"):
        done: dict[str, Path] = {}
        for name, (bundle, task, strategy) in STAGES.items():
            output = work / chain / name
            settings = {
                "dataset_dir": str(data[task]),
                "output_dir": str(output),
                "image_size": image_size,
                "strategy": strategy if chain == "adapters" else "full",
                "epochs": epochs,
                "batch_size": 4,
                "val_interval": epochs,
                "seed": seed,
                **{parent: str(folder) for parent, folder in done.items()},
            }
            if name == "vessels":
                settings |= {"encoder_name": "tiny", "start_from": str(SHIPPED / "vessels_phantom")}
            console.print(f"[bold]{chain}[/]: stage {name}")
            network = run_bundle(bundle, overrides=settings).parser.get_parsed_content("network_def")
            set_determinism(None)
            done[name] = output / "last"
            rows.append(
                {
                    "chain": chain,
                    "stage": name,
                    "strategy": settings["strategy"],
                    "parameters_trained": sum(p.numel() for p in network.parameters() if p.requires_grad),
                    "bytes_stored": sum(f.stat().st_size for f in done[name].iterdir()),
                    "seconds": round(sum(line["seconds"] for line in read_history(output / "history.jsonl"))),
                    "vessel_dice": vessel_dice(done, data["vessels"], image_size),
                }
            )
    console.print(as_table(rows))
    if json_file is not None:
        facts = {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "threads": torch.get_num_threads()}
        write_json(json_file, {**facts, "epochs": epochs, "image_size": image_size, "results": rows})


def shortened(arcade: Path, out: Path, task: str, images: int | None) -> Path:
    """Prepare ARCADE for a task; keep the first images of each split alone if a number is given."""
    datalist = prepare_arcade(arcade, out, task)
    if images is not None:
        content = read_datalist(datalist)
        write_datalist(
            datalist,
            name=content["name"],
            task=task,
            class_names=content["class_names"],
            splits={split: content[split][:images] for split in ("training", "validation")},
        )
    return out


def vessel_dice(stages: dict[str, Path], data: Path, image_size: int) -> float:
    """Return the Dice of the vessel stage with all of these stages loaded above it."""
    from bench_vessels import score

    from monai_lora_sam.coronary.pipeline import CoronaryPipeline

    encoder = read_card(stages["vessels"])["encoder"]
    stack = AdapterStack(build_encoder(encoder["name"], True, image_size))
    vessels = load_stage(stages["vessels"], stack)
    if "segments" in stages:
        segments: AdaptedSegmenter = load_stage(stages["segments"], stack)
        if "stenosis" in stages:
            load_stage(stages["stenosis"], reads={"vessels": vessels, "segments": segments})
    entries = read_datalist(data / "datalist.json")["validation"]
    with Progress(transient=True) as bars:
        bar = bars.add_task("scoring", total=len(entries))
        scored = score(CoronaryPipeline(vessels, refiner=None), entries, lambda: bars.advance(bar))
    return scored["dice"]["mean"]


def as_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures for the console."""
    table = Table(title="stage 1 on ARCADE syntax/val", box=box.SIMPLE, pad_edge=False)
    for column in ("chain", "after stage", "strategy", "trained", "stored", "minutes", "vessel Dice"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(
            row["chain"],
            row["stage"],
            row["strategy"],
            f"{row['parameters_trained'] / 1e6:.3f} M",
            f"{row['bytes_stored'] / 1e6:.2f} MB",
            f"{row['seconds'] / 60:.1f}",
            f"{row['vessel_dice']:.4f}",
        )
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
