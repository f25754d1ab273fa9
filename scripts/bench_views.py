"""Compare the pipeline's results on one vessel tree seen from several angles: segment names and %DS.

    python scripts/bench_views.py --trees 20 --json views.json
    python scripts/bench_views.py --quick

Each synthetic tree, with its stenoses, is projected at five usual views of its artery. A name agrees when the same
segment gets the same name in two views, right or wrong; it is right when it is the true one. A stenosis is found in a
view when the report has a lesion within 20 pixels of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich import box
from rich.progress import Progress
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors, write_json
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.phantom import Phantom, PhantomConfig, generate_phantom
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, CoronaryResult

QUICK = 2
#: Five usual views of each artery: primary angle (LAO positive), secondary angle (cranial positive), in degrees.
VIEWS: dict[str, tuple[tuple[float, float], ...]] = {
    "left": ((-30, -20), (0, -30), (-10, 40), (45, 25), (45, -25)),
    "right": ((45, 0), (30, 20), (-30, 0), (0, 30), (20, 25)),
}
CENTRE_DISTANCE_PX = 20.0
#: Share of a segment's visible centreline that has to lie on named vessel, for the segment to have a name.
NAMED_SHARE = 0.2


@one_line_errors()
def main(
    vessels: Annotated[Path | None, typer.Option(help="Stage 1. Default: the shipped one.")] = None,
    segments: Annotated[Path | None, typer.Option(help="Stage 2. Default: the shipped one.")] = None,
    stenosis: Annotated[Path | None, typer.Option(help="Stage 3. Default: the shipped one.")] = None,
    trees: Annotated[int, typer.Option(help="Number of synthetic trees.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the first tree.", min=0)] = 500_000_000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[bool, typer.Option(help=f"The first {QUICK} trees only.")] = False,
) -> None:
    """Measure how far names and %DS agree between views of one tree."""
    trees = min(trees, QUICK) if quick else trees
    pipeline = CoronaryPipeline(vessels, segments, stenosis)
    figures = {}
    for told in (False, True):
        seen = []
        with Progress(console=console, transient=True) as bars:
            label = "views known" if told else "views unknown"
            for number in bars.track(range(seed, seed + trees), description=label):
                seen.append([read_view(pipeline, phantom, told) for phantom in project_tree(number)])
        figures[label] = agreement(seen)
    console.print(as_table(figures, f"{trees} trees, 5 views each"))
    if json_file is not None:
        facts = {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "threads": torch.get_num_threads()}
        write_json(json_file, {**facts, "results": figures})


def project_tree(seed: int) -> list[Phantom]:
    """Draw the tree of a seed, with stenoses, at the five views of its artery."""
    side = "right" if seed % 3 == 0 else "left"
    return [
        generate_phantom(seed, PhantomConfig(lesion_probability=1.0, side=side, view=view))
        for view in VIEWS[side]
    ]


def read_view(pipeline: CoronaryPipeline, phantom: Phantom, told: bool) -> dict[str, dict[Any, Any]]:
    """Return the names and the %DS that the true segments and stenoses got; None where nothing is found."""
    pixels = phantom.image.astype(np.float32) / 255
    view = phantom.view if told else None
    result = pipeline(
        Angiogram(pixels, phantom.pixel_spacing_mm, view, "XA", Path(f"phantom_{phantom.seed}"))
    )
    return {"names": found_names(result, phantom), "percent": found_percents(result, phantom)}


def found_names(result: CoronaryResult, phantom: Phantom) -> dict[str, str | None]:
    """Return for each true segment in the picture the name that most of its centreline got."""
    if result.segments is None:
        raise ValueError("expected a stage 2 that names segments, found none")
    names: dict[str, str | None] = {}
    for line in phantom.centrelines:
        rows, columns = np.round(line.points_rc_px).astype(int).T
        height, width = result.segments.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        if not inside.any():
            continue
        found = result.segments[rows[inside], columns[inside]]
        counts = np.bincount(found[found > 0], minlength=len(ARCADE_CLASS_NAMES))
        named = counts.sum() >= NAMED_SHARE * inside.sum()
        names[line.segment.value] = ARCADE_CLASS_NAMES[int(counts.argmax())] if named else None
    return names


def found_percents(result: CoronaryResult, phantom: Phantom) -> dict[int, float | None]:
    """Return for each true stenosis in the picture the %DS of the nearest lesion that was found; None without one.

    A lesion whose %DS the report leaves open counts as found with NaN.
    """
    height, width = result.vessels.shape
    percents: dict[int, float | None] = {}
    for number, lesion in enumerate(phantom.lesions):
        row, column = lesion.centre_rc_px
        if not (0 <= row < height and 0 <= column < width):
            continue
        near = {}
        for found in result.report.get("lesions", ()):
            left, top, right, bottom = found["box_xy"]
            distance = np.hypot((left + right) / 2 - column, (top + bottom) / 2 - row)
            if distance <= CENTRE_DISTANCE_PX:
                value = found["percent_diameter_stenosis"]
                near[float(distance)] = float("nan") if value is None else float(value)
        percents[number] = near[min(near)] if near else None
    return percents


def agreement(trees: Sequence[Sequence[Mapping[str, Mapping[Any, Any]]]]) -> dict[str, float | int | None]:
    """Return the agreement between the views of each tree, over all trees."""
    same, right, found, differences = [], [], [], []
    for views in trees:
        for view in views:
            right += [name == true for true, name in view["names"].items()]
            found += [value is not None for value in view["percent"].values()]
        for one, other in combinations(views, 2):
            for true in one["names"].keys() & other["names"].keys():
                names = one["names"][true], other["names"][true]
                if None not in names:
                    same.append(names[0] == names[1])
            for lesion in one["percent"].keys() & other["percent"].keys():
                values = one["percent"][lesion], other["percent"][lesion]
                if None not in values and not np.isnan(values).any():
                    differences.append(abs(values[0] - values[1]))
    return {
        "names_agree": _mean(same),
        "names_right": _mean(right),
        "stenoses_found": _mean(found),
        "percent_difference": _mean(differences),
        "pairs_of_names": len(same),
        "pairs_of_percents": len(differences),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def as_table(figures: Mapping[str, Mapping[str, float | int | None]], title: str) -> Table:
    """Return the figures for the console, a column for views known and unknown."""
    table = Table("figure", *figures, title=title, box=box.SIMPLE, pad_edge=False)
    for name in next(iter(figures.values())):
        values = (column[name] for column in figures.values())
        cells = ("–" if v is None else str(v) if isinstance(v, int) else f"{v:.3f}" for v in values)
        table.add_row(name.replace("_", " "), *cells)
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
