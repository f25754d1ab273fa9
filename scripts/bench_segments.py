"""Score named segments on a datalist: with and without view angles, with and without the graph step.

    python scripts/bench_segments.py --datalist data/phantoms/datalist.json --json phantoms.json
    python scripts/bench_segments.py --datalist data/arcade_segments/datalist.json --annotations ARCADE/…/val.json

Names are scored on two masks: the true one, which asks for the names alone, and the predicted one, which asks for
everything. With --annotations the published polygons are the truth of ARCADE's own scorer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich import box
from rich.progress import Progress
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.data import read_task
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.metrics import (
    branch_accuracy,
    f1_per_class,
    instances_from_coco,
    label_map_to_instances,
    macro_f1,
    rare_classes,
    score_arcade_segments,
    segment_counts,
    segment_sets,
    set_exact_match,
    set_f1,
    vessel_accuracy,
)
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, shipped_stages
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree, label_pixels, label_tree, paint_segments
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import read_json_value
from monai_lora_sam.images import read_label

QUICK = 10
#: A segment of fewer pixels, at the image's own size, does not count as present.
MINIMUM_AREA_PX = 50
HEADINGS = {
    "accuracy": "acc.",
    "branch_accuracy": "branch",
    "macro_f1": "F1",
    "macro_f1_rare": "F1 rare",
    "set_f1": "set F1",
    "set_exact_match": "set =",
    "seconds": "s",
    "arcade_official": "official",
    "arcade_corrected": "corrected",
}


@dataclass
class Cell:
    """Hold the results of one way of naming, image by image."""

    mask: str
    view: str
    graph: bool
    counts: list[torch.Tensor] = field(default_factory=list)
    maps: list[np.ndarray] = field(default_factory=list)
    branches: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@one_line_errors()
def main(
    datalist: Annotated[Path, typer.Option(help="What `monai-lora-sam prepare` wrote.")],
    annotations: Annotated[
        Path | None, typer.Option(help="ARCADE's annotation file of the split, for its own scorer.")
    ] = None,
    vessels: Annotated[Path | None, typer.Option(help="Stage 1. Default: the shipped one.")] = None,
    segments: Annotated[Path | None, typer.Option(help="Stage 2. Default: the shipped one.")] = None,
    split: Annotated[str, typer.Option(help="training, validation or test.")] = "validation",
    limit: Annotated[int | None, typer.Option(help="The first so many images only.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help=f"The first {QUICK} images only.")] = False,
) -> None:
    """Score stage 2: accuracy, macro F1, sets of segments, ARCADE's F1."""
    content = read_task(datalist, "segments")
    if split not in ("training", "validation", "test") or not content[split]:
        raise ValueError(f"{datalist}: expected images in the split {split!r}, found none")
    entries = content[split][: QUICK if quick else limit]
    shipped = shipped_stages(2)
    pipeline = CoronaryPipeline(vessels or shipped["vessels"], segments or shipped.get("segments"))
    truths = [read_label(entry["label"], len(ARCADE_CLASS_NAMES)) for entry in entries]
    training = [read_label(entry["label"], len(ARCADE_CLASS_NAMES)) for entry in content["training"]]
    rare = rare_classes([np.unique(label).tolist() for label in training])
    views = ["unknown"] + (["known"] if any(entry.get("view") for entry in entries) else [])
    cells = [Cell(m, v, g) for v in views for m in ("true", "predicted") for g in (False, True)]
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("images", total=len(entries))
        for entry, truth in zip(entries, truths, strict=True):
            score_image(pipeline, entry, truth, cells)
            bars.advance(bar)
    published = None
    if annotations is not None:
        by_name = instances_from_coco(read_json_value(annotations, "an annotation file"))
        published = [by_name[Path(entry["image"]).name] for entry in entries]
    rows = [summary(cell, rare, published) for cell in cells]
    console.print(as_table(rows, f"{datalist.parent.name}, {split}, {len(entries)} images"))
    best = rows[-1]
    console.print("F1 by segment, predicted mask, graph, every view angle that is known:")
    console.print("  ".join(f"{k} {v:.2f}" for k, v in best["f1_per_class"].items() if v is not None))
    console.print(f"rare (in fewer than 5 % of the training images): {', '.join(best['rare']) or 'none'}")
    if json_file is not None:
        facts = {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "threads": torch.get_num_threads()}
        write_json(json_file, {**facts, "datalist": str(datalist), "split": split, "results": rows})


def score_image(
    pipeline: CoronaryPipeline, entry: dict[str, Any], truth: np.ndarray, cells: Sequence[Cell]
) -> None:
    """Name the segments of an image in every way and keep each result."""
    angiogram = read_angiogram(entry["image"])
    if truth.shape != angiogram.pixels.shape:
        raise ValueError(
            f"{entry['label']}: expected {angiogram.pixels.shape} as its image, found {truth.shape}"
        )
    view = angiogram.view or entry.get("view")
    predictions: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for cell in cells:
        if cell.view not in predictions:
            told = (view[0], view[1]) if cell.view == "known" and view else None
            probability, classes, _ = pipeline.predict(replace(angiogram, view=told))
            predictions[cell.view] = probability, classes
        probability, classes = predictions[cell.view]
        mask = truth > 0 if cell.mask == "true" else probability >= 0.5
        started = time.perf_counter()
        tree = build_vessel_tree(mask)
        if cell.graph:
            named = paint_segments(label_tree(tree, classes, mask), mask, classes)
        else:
            named = label_pixels(classes, mask)
        cell.seconds.append(time.perf_counter() - started)
        cell.maps.append(named)
        cell.branches.append(branch_accuracy([b.centreline_rc for b in tree.branches], named, truth))
        tensors = (torch.from_numpy(x.astype(np.int64))[None, None] for x in (named, truth))
        cell.counts.append(segment_counts(*tensors))


def summary(cell: Cell, rare: Sequence[int], published: Sequence[Any] | None) -> dict[str, Any]:
    """Return the figures of one way of naming, as JSON can hold them."""
    counts = torch.cat(cell.counts)
    predicted, true = segment_sets(counts, MINIMUM_AREA_PX)
    per_class = f1_per_class(counts).tolist()
    figures = {
        "accuracy": float(vessel_accuracy(counts)),
        "branch_accuracy": float(np.nanmean(cell.branches)),
        "macro_f1": float(macro_f1(counts)),
        "macro_f1_rare": float(macro_f1(counts, rare)) if rare else float("nan"),
        "set_f1": float(set_f1(predicted, true).mean()),
        "set_exact_match": float(set_exact_match(predicted, true).mean()),
        "seconds": float(np.median(cell.seconds)),
    }
    if published is not None:
        found = [label_map_to_instances(named, MINIMUM_AREA_PX) for named in cell.maps]
        for version in ("official", "corrected"):
            figures[f"arcade_{version}"] = score_arcade_segments(published, found, version).f1
    return {
        "mask": cell.mask,
        "view": cell.view,
        "graph": cell.graph,
        **{name: None if value != value else round(value, 4) for name, value in figures.items()},
        "rare": [ARCADE_CLASS_NAMES[number] for number in rare],
        "f1_per_class": {
            name: None if value != value else round(value, 4)
            for name, value in list(zip(ARCADE_CLASS_NAMES, per_class, strict=True))[1:]
        },
    }


def as_table(rows: list[dict[str, Any]], title: str) -> Table:
    """Return the figures for the console."""
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    names = [name for name, value in rows[0].items() if not isinstance(value, dict | list)]
    for name in names:
        table.add_column(HEADINGS.get(name, name), no_wrap=True)
    for row in rows:
        shown = [row[name] for name in names]
        table.add_row(*("–" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in shown))
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
