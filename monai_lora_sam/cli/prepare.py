"""``monai-lora-sam prepare``: make labels and a datalist from a data set, or draw phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from monai_lora_sam.cli.console import console, one_line_errors, progress

app = typer.Typer(no_args_is_help=True, help="Make a datalist that the bundles train on.")
Out = Annotated[Path, typer.Option(help="Folder to write: labels and datalist.json.")]


def _done(datalist: Path) -> None:
    from monai_lora_sam.data import read_datalist

    content = read_datalist(datalist)
    counts = ", ".join(f"{len(content[s])} {s}" for s in ("training", "validation", "test") if content[s])
    console.print(f"[bold]{datalist}[/]: {counts}", soft_wrap=True)
    for warning in content.get("warnings", []):
        console.print(f"[yellow]note:[/] {warning}", highlight=False, soft_wrap=True)


@app.command(
    epilog="Example:\n\nmonai-lora-sam prepare arcade ~/arcade --out data/arcade_vessels --task vessels"
)
def arcade(
    source: Annotated[Path, typer.Argument(help="The published folder, which holds syntax/ and stenosis/.")],
    out: Out,
    task: Annotated[
        Literal["vessels", "segments", "stenosis"], typer.Option(help="What the labels hold.")
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
        _done(datalist)


@app.command(epilog="Example:\n\nmonai-lora-sam prepare phantom --out data/phantoms --count 500 --seed 1")
def phantom(
    out: Out,
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
        _done(datalist)


@app.command(epilog="Example:\n\nmonai-lora-sam prepare cine --out data/cines --count 2")
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


@app.command(epilog="Example:\n\nmonai-lora-sam prepare folders cimat/images cimat/masks --out data/cimat")
def folders(
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    masks: Annotated[Path, typer.Argument(help="Folder of vessel masks with the same names; 0/255 or 0/1.")],
    out: Out,
    validation_fraction: Annotated[
        float, typer.Option(help="Part of the cases kept for validation; 1 to score on all of them.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
) -> None:
    """Pair images with masks and split them by case."""
    with one_line_errors():
        from monai_lora_sam.data import datalist_from_folders, split_by_case, write_datalist

        entries = datalist_from_folders(images, masks)
        shares = {"training": 1 - validation_fraction, "validation": validation_fraction}
        shares = {part: share for part, share in shares.items() if share > 0}
        splits = split_by_case(entries, shares, seed)
        datalist = write_datalist(
            out / "datalist.json",
            name=out.name,
            task="vessels",
            class_names=["background", "vessel"],
            splits=splits,
        )
        _done(datalist)


@app.command(
    epilog="Examples:\n\nmonai-lora-sam prepare combine data/phantoms data/arcade --task segments --out data/mixed\n\n"
    "A set that is given twice counts twice in training:\n\n"
    "monai-lora-sam prepare combine data/phantoms data/arcade data/arcade --task segments --out data/mixed"
)
def combine(
    sources: Annotated[list[Path], typer.Argument(help="Prepared folders, each with a datalist.json.")],
    out: Out,
    task: Annotated[
        Literal["vessels", "segments", "stenosis"],
        typer.Option(help="What it is for; synthetic angiograms serve all."),
    ],
) -> None:
    """Put several prepared data sets into one datalist; no image is copied."""
    with one_line_errors():
        from monai_lora_sam.coronary.data import combine_datalists

        _done(combine_datalists(sources, out, task))
