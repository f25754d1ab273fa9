"""``monai-lora-sam run``: from angiograms to masks, segments, lesions and reports."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from monai_lora_sam.cli import console, errors, one_line_errors, progress
from monai_lora_sam.files import check_output_folder, printable

EPILOG = (
    "Examples:\n\n"
    "monai-lora-sam run angiogram.png --out results\n\n"
    "monai-lora-sam run angiogram.png --out results --view -30 20 --spacing 0.28\n\n"
    "monai-lora-sam run study.dcm more/ --out results --anonymise\n\n"
    "monai-lora-sam run study.dcm --out results --frame 25 --catheter-french 6 --catheter 178 5 200 45\n\n"
    "monai-lora-sam run study/ --out results --vessels models/vessels/best --stages 1"
)

app = typer.Typer()

#: Number of skipped files that the console lists.
SHOWN = 20


@app.command(epilog=EPILOG)
def run(
    images: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, TIFF, NIfTI or DICOM files, or folders of them.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the results: a folder for each image, and index.html. Finished images are skipped."
        ),
    ],
    stages: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=3,
            help="How many run. 1: vessels. 2: named segments, too. 3: measured stenoses, too. Default: all that there "
            "are for the first one.",
        ),
    ] = None,
    vessels: Annotated[
        Path | None,
        typer.Option(help="Stage 1: the folder `best` of a training run. Default: the shipped one."),
    ] = None,
    segments: Annotated[
        Path | None, typer.Option(help="Stage 2, trained on top of that stage 1. Default: the shipped one.")
    ] = None,
    stenosis: Annotated[
        Path | None, typer.Option(help="Stage 3, trained on top of these stages. Default: the shipped one.")
    ] = None,
    graph: Annotated[
        bool, typer.Option(help="Name whole pieces of the vessel tree, or each pixel by itself.")
    ] = True,
    refiner: Annotated[
        bool, typer.Option(help="Refine the vessel map at the image's own size, by a further network.")
    ] = True,
    diameter_network: Annotated[
        bool, typer.Option(help="Read diameters by a network, or fit the shadow of a round lumen.")
    ] = True,
    view: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="PRIMARY SECONDARY",
            help="View angles of all files in degrees, LAO and cranial positive, in place of those in the files.",
        ),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(
            help="Millimetres per pixel at the patient, of all files, in place of those in the files.",
            metavar="MM",
        ),
    ] = None,
    catheter_french: Annotated[
        float | None,
        typer.Option(help="Measure the spacing by a catheter of this size in the picture.", metavar="F"),
    ] = None,
    catheter: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(
            metavar="X0 Y0 X1 Y1",
            help="Two points in px along the middle of a straight part of it. For one image; of a cine with --frame.",
        ),
    ] = None,
    frame: Annotated[
        int | None, typer.Option(min=1, help="Frame of a cine, from 1. Default: the best one.", metavar="N")
    ] = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Remove patient, study and file names from all results.")
    ] = False,
    anonymise_key: Annotated[
        Path | None,
        typer.Option(
            help="File with a secret, made where missing: runs with the same one give the same names.",
            metavar="FILE",
        ),
    ] = None,
    confirmed: Annotated[
        Path | None,
        typer.Option(
            help="JSON of confirmed lesions, as of syntax-score; index.html shows their SYNTAX score."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run finished images again.")] = False,
    inference: Annotated[
        Literal["whole", "tiled"],
        typer.Option(
            help="whole: scale the image into the encoder's square. tiled: vessels by windows at its own scale."
        ),
    ] = "whole",
    flip: Annotated[
        bool, typer.Option("--flip", help="Average the vessels with those of the mirror image.")
    ] = False,
    weights: Annotated[
        str | None, typer.Option(help="Weights of the base encoder, if not at their usual place.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: cuda if there is one.")
    ] = None,
) -> None:
    """Find vessels, name their segments, find and measure stenoses; write masks, pictures and a report for each."""
    with one_line_errors():
        from monai_lora_sam.coronary.pipeline import (
            CaseOutcome,
            Catheter,
            CoronaryPipeline,
            RunOptions,
            check_stated,
            find_images,
            run_files,
        )
        from monai_lora_sam.coronary.qca import score_confirmed

        check_output_folder(out)
        check_stated(view, spacing)
        key = {} if anonymise_key is None else {"anonymise_key": _key(anonymise_key)}
        tube = None
        if catheter_french is not None and catheter is not None:
            tube = Catheter(catheter_french, (catheter[:2], catheter[2:]))
        elif catheter_french is not None or catheter is not None:
            raise ValueError("expected --catheter-french and --catheter together, found one of them")
        if tube is not None and spacing is not None:
            raise ValueError("expected --spacing or a catheter, found both")
        if confirmed is not None:
            score_confirmed(confirmed)  # before hours of work
        given = {"vessels": vessels, "segments": segments, "stenosis": stenosis}
        folders = _stages(stages, given)
        options = RunOptions(
            view,
            spacing,
            frame,
            anonymise or bool(key),
            catheter=tube,
            again=again,
            confirmed=confirmed,
            **key,
        )
        found = find_images(images, out)
        count = len(found.images)
        if tube is not None and count > 1:
            raise ValueError(f"--catheter: expected one image, found {count}")
        pipeline = CoronaryPipeline(
            **folders,
            graph=graph,
            inference=inference,
            flip=flip,
            refiner=refiner,
            diameter_network=diameter_network,
            device=device,
            pretrained=weights or True,
        )
        with progress("angiograms") as bars:
            bar = bars.add_task("", total=count)

            def tell(outcome: CaseOutcome) -> None:
                bars.advance(bar)
                if outcome.error is None:
                    how = "finished earlier" if outcome.skipped else f"{outcome.seconds:.1f} s"
                    _say(outcome.path, f"{outcome.summary} ({how})")
                else:
                    _say(outcome.path, "[bold red]failed[/]")

            outcomes = run_files(images, out, pipeline, tell, options)
    for path, reason in found.skipped[:SHOWN]:
        _say(path, f"skipped, {escape(reason)}")
    if len(found.skipped) > SHOWN:
        console.print(f"… and {len(found.skipped) - SHOWN} more skipped, all listed in index.html")
    failed = [(path, error) for path, error in outcomes if error is not None]
    skipped = f", {len(found.skipped)} skipped" if found.skipped else ""
    console.print(
        f"{len(outcomes) - len(failed)} of {count} done{skipped}: [bold]{escape(printable(out / 'index.html'))}[/]",
        soft_wrap=True,
    )
    for path, error in failed:
        errors.print(
            f"[bold red]failed:[/] {escape(printable(f'{path}: {error}'))}", highlight=False, soft_wrap=True
        )
    if failed:
        raise typer.Exit(1)


def _say(path: Path, words: str) -> None:
    console.print(f"{escape(printable(path.name))}: {words}", highlight=False, soft_wrap=True)


def _stages(count: int | None, given: dict[str, Path | None]) -> dict[str, Any]:
    """Return the folders of the first stages: those given, else those that come with the package.

    A shipped stage goes only with the shipped ones below it.

    Args:
        count: number of stages; None for all that go together.
        given: folder of each stage, or None.

    Raises:
        ValueError: a stage of another task, one beyond `count`, or one that is missing.
    """
    from monai_lora_sam.coronary.pipeline import check_task, shipped_stages

    names = list(given)
    last = max((number for number, name in enumerate(names, 1) if given[name] is not None), default=0)
    if count is not None and last > count:
        raise ValueError(f"--{names[last - 1]}: expected --stages {last}, found {count}")
    shipped = shipped_stages(count or len(names))
    folders: dict[str, Any] = {}
    for number, name in enumerate(names[:count]):
        own = next((below for below in folders if given[below] is not None), None)
        folder = given[name]
        if folder is not None:
            folders[name] = check_task(folder, name)
        elif own is None and name in shipped:
            folders[name] = shipped[name]
        elif last > number:
            raise ValueError(f"--{names[last - 1]}: expected the stage below it by --{name}, found none")
        elif count is not None:
            raise ValueError(
                f"--stages {count}: expected --{name}, trained on the stage of --{own}, found none; the shipped one "
                f"was trained on another"
            )
        else:
            console.print(
                f"Stages from {name} on are left out: the shipped ones were trained on another stage than --{own}."
            )
            break
    return folders


def _key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    key = path.read_text(encoding="ascii").strip()
    if len(key) < 32:
        raise ValueError(f"{path}: expected a secret of at least 32 characters, found {len(key)}")
    return key.encode("ascii")
