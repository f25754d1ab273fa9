"""Score found and measured stenoses on a datalist: F1 by place and by box, ARCADE's scorers, %DS and MLD.

    python scripts/bench_stenoses.py --datalist data/phantoms/datalist.json --limit 100 --json phantoms.json
    python scripts/bench_stenoses.py --datalist data/arcade_stenosis/datalist.json

Each image goes through the whole pipeline, once for each choice of lumen networks: none, the refiner of the vessel
map, or both the refiner and the diameter network. %DS and MLD are compared over the lesions found within 20 pixels of
a true lesion: as the report has them, measured on the contours where that is possible, and as stage 3 estimates them.
Lesions that are found in images without any are counted apart.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich import box
from rich.progress import Progress
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.coronary.data import read_split
from monai_lora_sam.coronary.metrics import lesions_to_instances, score_arcade_stenoses, score_lesions
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, read_case
from monai_lora_sam.data.datalist import write_json

QUICK = 10
MEASURED = ("percent_diameter_stenosis", "mld_px")
CENTRE_DISTANCE_PX = 20.0
LUMEN = {"none": (False, False), "refiner": (True, False), "both": (True, True)}  # refiner, diameter network


@one_line_errors()
def main(
    datalist: Annotated[Path, typer.Option(help="What `monai-lora-sam prepare` wrote.")],
    vessels: Annotated[Path | None, typer.Option(help="Stage 1. Default: the shipped one.")] = None,
    segments: Annotated[Path | None, typer.Option(help="Stage 2. Default: the shipped one.")] = None,
    stenosis: Annotated[Path | None, typer.Option(help="Stage 3. Default: the shipped one.")] = None,
    score_threshold: Annotated[
        float | None, typer.Option(help="Lesions below it are left out. Default: as the stage says.")
    ] = None,
    lumen: Annotated[
        list[str] | None,
        typer.Option(help="none, refiner, both (and diameter network); repeatable. Default: all three."),
    ] = None,
    split: Annotated[str, typer.Option(help="training, validation or test.")] = "validation",
    limit: Annotated[int | None, typer.Option(help="The first so many images only.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help=f"The first {QUICK} images only.")] = False,
) -> None:
    """Score stage 3 and the measurements of its lesions."""
    if unknown := set(lumen or ()) - set(LUMEN):
        raise ValueError(f"--lumen: expected {', '.join(LUMEN)}, found {unknown.pop()!r}")
    entries = read_split(datalist, split, "stenosis")[: QUICK if quick else limit]
    figures = {}
    with Progress(console=console, transient=True) as bars:
        for name in lumen or LUMEN:
            refiner, diameter_network = LUMEN[name]
            pipeline = CoronaryPipeline(
                vessels,
                segments,
                stenosis,
                refiner=refiner,
                diameter_network=diameter_network,
                score_threshold=score_threshold,
            )
            bar = bars.add_task(f"lumen networks: {name}", total=len(entries))
            figures[name] = score(pipeline, entries, lambda bar=bar: bars.advance(bar))
    console.print(as_table(figures, f"{datalist.parent.name}, {split}, {len(entries)} images"))
    if json_file is not None:
        facts = {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "threads": torch.get_num_threads()}
        write_json(json_file, {**facts, "score_threshold": pipeline.score_threshold, "results": figures})


def score(
    pipeline: CoronaryPipeline, entries: list[dict[str, Any]], done: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Return the scores of a pipeline on the images of a datalist."""
    if pipeline.networks.stenosis is None:
        raise ValueError("expected a stage 3 to score, found none")
    found, estimated, instances, seconds = [], [], [], []
    for entry in entries:
        started = time.perf_counter()
        case = read_case(entry["image"]).stated(entry.get("view"), entry.get("pixel_spacing_mm"))
        predicted = pipeline.predict(case.angiogram)
        result = pipeline.analyse(case, *predicted)
        seconds.append(time.perf_counter() - started)
        found.append([as_detection(row) for row in result.report["lesions"]])
        estimated.append(predicted[-1])
        instances.append(lesions_to_instances(found[-1], result.vessels))
        done()
    true = [entry["lesions"] for entry in entries]
    figures = summary(found, estimated, true)
    figures |= {"seconds_per_image": float(np.median(seconds))}
    if all("polygons_xy" in lesion for lesions in true for lesion in lesions):
        published = [lesions_to_instances(lesions) for lesions in true]
        for version in ("official", "corrected"):
            figures[f"arcade_{version}"] = score_arcade_stenoses(published, instances, version).f1
    return figures


def as_detection(row: dict[str, Any]) -> dict[str, Any]:
    """Return a lesion of a report in the coordinates of datalists, where the image spans 0 to its width."""
    kept = ("score", *MEASURED)
    return {**{key: row.get(key) for key in kept}, "box_xyxy": [value + 0.5 for value in row["box_xy"]]}


def summary(found: list[list[dict]], estimated: list[list[dict]], true: list[list[dict]]) -> dict[str, Any]:
    """Return the scores of the report's lesions, and the agreement of the network's own %DS and MLD."""
    reported = score_lesions(found, true, 0.0, centre_distance_px=CENTRE_DISTANCE_PX).as_dict()
    network = score_lesions(estimated, true, 0.0, centre_distance_px=CENTRE_DISTANCE_PX).as_dict()
    figures = {**reported, **{f"network_{k}": v for k, v in network.items() if k.startswith(MEASURED)}}
    healthy = [len(lesions) for lesions, truth in zip(found, true, strict=True) if not truth]
    figures["false_lesions_per_healthy_image"] = float(np.mean(healthy)) if healthy else None
    figures["healthy_images"] = len(healthy)
    return {key: None if value != value else value for key, value in figures.items()}


def as_table(figures: dict[str, dict[str, Any]], title: str) -> Table:
    """Return the figures for the console, a column for each choice of lumen networks."""
    table = Table("figure", *figures, title=title, box=box.SIMPLE, pad_edge=False)
    for name in next(iter(figures.values())):
        values = [column[name] for column in figures.values()]
        if any(value is not None for value in values):  # ARCADE knows no %DS and no MLD
            cells = ("–" if v is None else str(v) if isinstance(v, int) else f"{v:.3f}" for v in values)
            table.add_row(name.replace("_", " "), *cells)
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
