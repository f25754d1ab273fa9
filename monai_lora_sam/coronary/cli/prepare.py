"""Data sets of the coronary wing for ``monai-lora-sam prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from monai_lora_sam.cli import DatalistFolder, console, one_line_errors, progress, tell_datalist
from monai_lora_sam.files import check_output_folder

arcade_app = typer.Typer()
phantom_app = typer.Typer()
cine_app = typer.Typer()


@arcade_app.command(
    epilog="Example:\n\nmonai-lora-sam prepare arcade ~/arcade --out data/arcade_vessels --task vessels"
)
def arcade(
    source: Annotated[
        Path, typer.Argument(help="The published folder, with syntax/ and stenosis/, or one of these.")
    ],
    out: DatalistFolder,
    task: Annotated[
        Literal["vessels", "segments", "stenosis"], typer.Option(help="Structures in the labels.")
    ] = "vessels",
) -> None:
    """Turn ARCADE's polygons into label images."""
    with one_line_errors():
        from monai_lora_sam.coronary.data import prepare_arcade

        check_output_folder(out)
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
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 200,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal images.")] = 0,
    validation_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Part of them kept for validation.")
    ] = 0.1,
    implants: Annotated[
        float, typer.Option(min=0, max=1, help="Share of them with wires, leads, clips, cables or stents.")
    ] = 0.0,
    weak_filling: Annotated[
        float, typer.Option(min=0, max=1, help="Share of them with branches filled weakly or late.")
    ] = 0.0,
) -> None:
    """Draw synthetic angiograms with their exact truth."""
    with one_line_errors():
        from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms

        check_output_folder(out)
        config = PhantomConfig(implants=implants, weak_filling=weak_filling)
        with progress("phantoms") as bars:
            bar = bars.add_task("", total=count)
            datalist = prepare_phantoms(
                out,
                count,
                seed,
                validation_fraction,
                lambda done, _: bars.update(bar, completed=done),
                config,
            )
        tell_datalist(datalist)


@cine_app.command(epilog="Example:\n\nmonai-lora-sam prepare cine --out data/cines --count 2")
def cine(
    out: Annotated[Path, typer.Option(help="Folder to write: cine_*.dcm and cine_*.json.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal cines.")] = 0,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each, at 15 a second.")] = 45,
) -> None:
    """Draw synthetic DICOM cines of a beating, filling coronary tree, each with its truth."""
    with one_line_errors():
        from monai_lora_sam.coronary.phantom import prepare_cines

        check_output_folder(out)
        with progress("cines") as bars:
            bar = bars.add_task("", total=count)
            paths = prepare_cines(out, count, seed, frames, lambda done, _: bars.update(bar, completed=done))
        for path in paths:
            console.print(f"[bold]{escape(str(path))}[/]", soft_wrap=True)
