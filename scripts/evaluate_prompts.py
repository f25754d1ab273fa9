"""Score a promptable network on every object of a datalist, by points, boxes and clicks.

    python scripts/evaluate_prompts.py data/cosmos/datalist.json --out runs/cosmos

Writes scores.csv (one row for each object, kind of prompt and choice of mask), scores.json (means, medians, 95 %
intervals) and index.html. A killed run goes on where it ended when it is started again. docs/prompts.md explains the
protocol and the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli import check_json_file, console_beside, one_line_errors, progress, write_json
from monai_lora_sam.data import SPLITS, read_datalist
from monai_lora_sam.evaluation import CHOICE_TITLES, MODES, evaluate_prompts, summarise, write_prompted_page
from monai_lora_sam.files import check_output_folder
from monai_lora_sam.networks import PromptableSegmenter, build_promptable, choose_device
from monai_lora_sam.stages import load_stage

QUICK = 4


@one_line_errors()
def main(
    datalist: Annotated[Path, typer.Argument(help="That `monai-lora-sam prepare` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the results; a resumed run needs it.")],
    encoder: Annotated[str, typer.Option(help="Name of the encoder.")] = "medsam_lite",
    weights: Annotated[str | None, typer.Option(help="Its weights, if not at their usual place.")] = None,
    stage: Annotated[Path | None, typer.Option(help="A trained stage in place of the bare encoder.")] = None,
    mode: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(MODES)}; repeatable. Default: all.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="One split. Default: all images.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many images, evenly spaced.")] = None,
    seed: Annotated[int, typer.Option(help="Of the shifted boxes.")] = 0,
    clip_percentiles: Annotated[
        bool, typer.Option(help="Clip to the 0.95 and 99.5 percentiles first, as COSMOS-1050K.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps. Default: cuda if there is one.")
    ] = None,
    quick: Annotated[bool, typer.Option(help=f"{QUICK} images alone.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the means here as well; - to print.")
    ] = None,
) -> None:
    """Score a promptable network by points, boxes and clicks."""
    console = console_beside(json_file)
    check_output_folder(out)
    check_json_file(json_file)
    content = read_datalist(datalist)
    if split is not None and split not in SPLITS:
        raise ValueError(f"--split: expected one of {', '.join(SPLITS)}, found {split!r}")
    entries = [entry for name in SPLITS if split in (None, name) for entry in content[name]]
    entries = spaced(entries, QUICK if quick else limit)
    if not entries:
        raise ValueError(f"{datalist}: expected images, found none")
    pretrained = weights or True
    network = cast(
        PromptableSegmenter,
        load_stage(stage, pretrained=pretrained) if stage else build_promptable(encoder, pretrained),
    ).to(choose_device(device))
    if not isinstance(network, PromptableSegmenter):
        raise ValueError(f"{stage}: expected a stage with the head 'prompts', found {type(network).__name__}")
    names = content.get("class_names") or []
    with progress("images") as bars:
        bar = bars.add_task("", total=len(entries))
        evaluation = evaluate_prompts(
            network,
            entries,
            names,
            out,
            modes=mode or MODES,
            seed=seed,
            clip_percentiles=clip_percentiles,
            progress=lambda: bars.advance(bar),
        )
    if not evaluation.rows:
        raise ValueError(f"{datalist}: expected objects, found none large enough")
    summary = summarise(evaluation.rows, seed)
    count = len({(row["image"], row["object"]) for row in evaluation.rows})
    facts: dict[str, Any] = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "datalist": str(datalist),
        "images": len(entries),
        "objects": count,
        "objects_too_small": evaluation.too_small,
        "images_without_objects": evaluation.without_objects,
        "threads": torch.get_num_threads(),
    }
    notes = [
        f"{count} objects in {len(entries)} images; {evaluation.too_small} objects of 50 pixels or fewer and "
        f"{evaluation.without_objects} images without a larger one were left out."
    ]
    write_json({**facts, "results": summary}, out / "scores.json")
    name = stage.name if stage else encoder
    page = write_prompted_page(out, evaluation.rows, summary, entries, names, f"{name} by prompts", notes)
    for choice in CHOICE_TITLES:
        if any(item["choice"] == choice for item in summary):
            console.print(as_table(summary, choice))
    console.print(notes[0], soft_wrap=True)
    console.print(f"[bold]{page}[/]", soft_wrap=True)
    if json_file is not None:
        write_json({**facts, "results": summary}, json_file)


def spaced(entries: Sequence[dict[str, Any]], count: int | None) -> list[dict[str, Any]]:
    """Return so many entries, evenly spaced, so that each data set in the list is met."""
    if count is None or count >= len(entries):
        return list(entries)
    return [entries[index] for index in np.linspace(0, len(entries) - 1, count).round().astype(int)]


def as_table(summary: Sequence[dict[str, Any]], choice: str) -> Table:
    """Return the mean Dice in percent for the console: groups of objects down, kinds of prompt across."""
    own = [item for item in summary if item["choice"] == choice]
    modes = [mode for mode in MODES if any(item["mode"] == mode for item in own)]
    table = Table(title=CHOICE_TITLES[choice], box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("Dice x 100", overflow="fold")
    for column in ("n", *modes):
        table.add_column(column, justify="right", overflow="fold")
    dice = {(item["group"], item["mode"]): 100 * item["dice"]["mean"] for item in own}
    for group, count in {item["group"]: item["objects"] for item in own}.items():
        table.add_row(group, str(count), *(f"{dice[group, mode]:.1f}" for mode in modes))
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
