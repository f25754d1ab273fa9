"""Score trained vessel stages on a datalist: Dice, centreline Dice and recall at each image's own size.

    python scripts/bench_vessels.py --datalist data/arcade_vessels/datalist.json
    python scripts/bench_vessels.py --datalist data/cimat/datalist.json --stage mine=models/best --stage shipped

Each image goes through the pipeline, once for every way of inference, without the lumen refiner and with it. Recall is
the share of the labelled pixels that is found: vessels that are visible but unlabelled do not lower it. Means
come with a 95 % confidence interval by bootstrap over images: it says how far the mean depends on which images were
drawn, not on the seed of training.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from monai.metrics import DiceMetric
from rich import box
from rich.progress import Progress
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.pipeline import THRESHOLD, CoronaryPipeline
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.data import read_datalist
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.images import read_label
from monai_lora_sam.metrics import CenterlineDiceMetric, mean_with_interval

QUICK = 10
REFINER = ("without", "with")
EXAMPLES = """Examples:

python scripts/bench_vessels.py --datalist data/arcade_vessels/datalist.json --json scores.json

python scripts/bench_vessels.py --datalist data/cimat/datalist.json --stage mine=models/best --inference whole
"""


@one_line_errors()
def main(
    datalist: Annotated[Path, typer.Option(help="What `monai-lora-sam prepare` wrote.")],
    stage: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FOLDER of a trained stage, or the name of a shipped one; repeatable. Default: vessels."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="training, validation or test.")] = "validation",
    inference: Annotated[
        list[str] | None, typer.Option(help="whole, tiled; repeatable. Default: both.")
    ] = None,
    refiner: Annotated[
        list[str] | None,
        typer.Option(help="with, without: the refiner; repeatable. Default: both."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights of the base encoder, if not at their usual place.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda …. Default: cuda if there is one.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results, image by image, here as well.")
    ] = None,
    quick: Annotated[bool, typer.Option(help=f"The first {QUICK} images only.")] = False,
) -> None:
    """Score trained vessel stages: Dice, centreline Dice, recall, seconds an image."""
    content = read_datalist(datalist)
    if split not in ("training", "validation", "test") or not content[split]:
        raise typer.BadParameter(f"{datalist}: no images in the split {split!r}", param_hint="--split")
    if unknown := set(refiner or ()) - set(REFINER):
        raise typer.BadParameter(f"expected with or without, found {unknown.pop()!r}", param_hint="--refiner")
    entries = content[split][: QUICK if quick else None]
    unlabelled = [entry["image"] for entry in entries if "label" not in entry]
    if unlabelled:
        raise typer.BadParameter(f"{datalist}: {len(unlabelled)} images without a label: {unlabelled[0]} …")
    rows = []
    with Progress(console=console, transient=True) as bars:
        for name, folder in map(parse_stage, stage or ["vessels"]):
            for how, refined in product(inference or ["whole", "tiled"], refiner or REFINER):
                pipeline = CoronaryPipeline(
                    folder,
                    inference=how,
                    refiner=refined == "with",
                    device=device,
                    pretrained=weights or True,
                )
                bar = bars.add_task(f"{name}, {how}, {refined} refiner", total=len(entries))
                scored = score(pipeline, entries, lambda bar=bar: bars.advance(bar))
                row = {"stage": name, "folder": str(folder), "inference": how, "refiner": refined}
                rows.append({**row, **scored})
    console.print(as_table(rows, f"{datalist.parent.name}, {split}, {len(entries)} images"))
    if json_file is not None:
        facts = {
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "datalist": str(datalist),
            "split": split,
            "threshold": THRESHOLD,
            "threads": torch.get_num_threads(),
        }
        write_json(json_file, {**facts, "results": rows})


def parse_stage(text: str) -> tuple[str, Path]:
    """Read ``NAME=FOLDER``, or the name of a stage that the package ships."""
    name, equals, folder = text.partition("=")
    return name, Path(folder) if equals else SHIPPED / name


def score(
    pipeline: CoronaryPipeline, entries: Sequence[dict[str, Any]], done: Callable[[], Any] = lambda: None
) -> dict[str, Any]:
    """Run the pipeline on labelled images and compare at their own size.

    Returns:
        ``dice``, ``cldice`` and ``recall`` (mean, 95 % interval, number of images that count), median seconds an image,
        and the values of each image; an image whose label is empty counts in no score.
    """
    dice, cldice = DiceMetric(reduction="none"), CenterlineDiceMetric(reduction="none")
    seconds, recall = [], []
    for entry in entries:
        angiogram = read_angiogram(entry["image"])
        view = angiogram.view or entry.get("view")
        angiogram = replace(angiogram, view=None if view is None else (view[0], view[1]))
        started = time.perf_counter()
        probability = pipeline.probability(angiogram)
        seconds.append(time.perf_counter() - started)
        label = read_label(entry["label"], classes=2)
        if label.shape != probability.shape:
            raise ValueError(
                f"{entry['label']}: expected {probability.shape} as its image, found {label.shape}"
            )
        prediction = torch.from_numpy((probability >= THRESHOLD).astype(np.uint8))[None, None]
        truth = torch.from_numpy(label)[None, None]
        dice(y_pred=prediction, y=truth)
        cldice(y_pred=prediction, y=truth)
        recall.append(float(prediction[truth > 0].float().mean()))  # NaN where nothing is labelled
        done()
    values = {"dice": _of_each(dice), "cldice": _of_each(cldice), "recall": np.array(recall)}
    images = [
        {
            "image": entry["image"],
            **{name: _or_none(of_each[index]) for name, of_each in values.items()},
            "seconds": round(seconds[index], 4),
        }
        for index, entry in enumerate(entries)
    ]
    summary = {name: mean_with_interval(of_each) for name, of_each in values.items()}
    return {**summary, "seconds_per_image": float(np.median(seconds)), "images": images}


def _of_each(metric: DiceMetric | CenterlineDiceMetric) -> np.ndarray:
    return metric.aggregate().flatten().numpy().astype(float)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)


def as_table(rows: list[dict[str, Any]], title: str) -> Table:
    """Return the figures for the console."""
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in (
        "stage",
        "inference",
        "refiner",
        "Dice",
        "95 %",
        "clDice",
        "95 %",
        "recall",
        "95 %",
        "s/image",
    ):
        table.add_column(column, no_wrap=True)
    for row in rows:
        cells = []
        for name in ("dice", "cldice", "recall"):
            found = row[name]
            known = found["mean"] is not None
            cells.append(f"{found['mean']:.3f}" if known else "–")
            cells.append(f"{found['low']:.3f} – {found['high']:.3f}" if known else "–")
        table.add_row(
            row["stage"], row["inference"], row["refiner"], *cells, f"{row['seconds_per_image']:.2f}"
        )
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(epilog=EXAMPLES)(main)
    app()
