"""Data sets of the coronary wing for ``monai-lora-sam prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from monai_lora_sam.cli import DatalistFolder, console, one_line_errors, progress, tell_datalist

arcade_app = typer.Typer()
phantom_app = typer.Typer()
cine_app = typer.Typer()


@arcade_app.command(
    epilog="Example:\n\nmonai-lora-sam prepare arcade ~/arcade --out data/arcade_vessels --task vessels"
)
def arcade(
    source: Annotated[Path, typer.Argument(help="The published folder, which holds syntax/ and stenosis/.")],
    out: DatalistFolder,
    task: Annotated[
        Literal["vessels", "segments", "stenosis"], typer.Option(help="Structures in the labels.")
    ] = "vessels",
) -> None:
    """Turn ARCADE's polygons into label images."""
    with one_line_errors():
        from monai_lora_sam.coronary.data import prepare_arcade

        with progress("labels") as bars:
            bar = bars.add_task("", total=None)
            datalist = prepare_arcade(
                source, out, task, lambda done, count: bars.update(bar, completed=done, total=count)
            )
        tell_datalist(datalist)


@phantom_app.command(
    epilog="Example:\n\nmonai-lora-sam prepare phantom --out data/phantoms --count 500 --seed 1"
)
def phantom(
    out: DatalistFolder,
    count: Annotated[int, typer.Option(help="How many.")] = 200,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal images.")] = 0,
    validation_fraction: Annotated[float, typer.Option(help="Part of them kept for validation.")] = 0.1,
) -> None:
    """Draw synthetic angiograms with their exact truth."""
    with one_line_errors():
        from monai_lora_sam.coronary.phantom import prepare_phantoms

        with progress("phantoms") as bars:
            bar = bars.add_task("", total=count)
            datalist = prepare_phantoms(
                out, count, seed, validation_fraction, lambda done, _: bars.update(bar, completed=done)
            )
        tell_datalist(datalist)


@cine_app.command(epilog="Example:\n\nmonai-lora-sam prepare cine --out data/cines --count 2")
def cine(
    out: Annotated[Path, typer.Option(help="Folder to write: cine_*.dcm and cine_*.json.")],
    count: Annotated[int, typer.Option(help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal cines.")] = 0,
    frames: Annotated[int, typer.Option(help="Frames of each, at 15 a second.")] = 45,
) -> None:
    """Draw synthetic DICOM cines of a beating, filling coronary tree, each with its truth."""
    with one_line_errors():
        from monai_lora_sam.coronary.phantom import prepare_cines

        with progress("cines") as bars:
            bar = bars.add_task("", total=count)
            paths = prepare_cines(out, count, seed, frames, lambda done, _: bars.update(bar, completed=done))
        for path in paths:
            console.print(f"[bold]{path}[/]", soft_wrap=True)
