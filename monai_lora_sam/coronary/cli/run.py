"""``monai-lora-sam run``: from angiograms to masks, segments, lesions and reports."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from monai_lora_sam.cli import console, errors, one_line_errors, progress

EPILOG = (
    "Examples:\n\n"
    "monai-lora-sam run angiogram.png --out results\n\n"
    "monai-lora-sam run angiogram.png --out results --view -30 20 --spacing 0.28\n\n"
    "monai-lora-sam run study.dcm more/ --out results --anonymise\n\n"
    "monai-lora-sam run study.dcm --out results --frame 25 --catheter-french 6 --catheter 178 5 200 45\n\n"
    "monai-lora-sam run study/ --out results --vessels models/vessels/best --stages 1"
)

app = typer.Typer()


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
        int,
        typer.Option(
            min=1, max=3, help="How many run. 1: vessels. 2: named segments, too. 3: measured stenoses, too."
        ),
    ] = 3,
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
        int | None, typer.Option(help="Frame of a cine, from 1. Default: the best one.", metavar="N")
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
            find_images,
            run_files,
        )
        from monai_lora_sam.coronary.qca import score_confirmed

        given = {"vessels": vessels, "segments": segments, "stenosis": stenosis}
        folders = _stages(stages, given)
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
                    console.print(
                        f"{outcome.path.name}: {outcome.summary} ({how})", highlight=False, soft_wrap=True
                    )
                else:
                    console.print(
                        f"{outcome.path.name}: [bold red]failed[/]", highlight=False, soft_wrap=True
                    )

            outcomes = run_files(images, out, pipeline, tell, options)
    for path, reason in found.skipped:
        console.print(f"{path.name}: skipped, {reason}", highlight=False, soft_wrap=True)
    failed = [(path, error) for path, error in outcomes if error is not None]
    skipped = f", {len(found.skipped)} skipped" if found.skipped else ""
    console.print(
        f"{len(outcomes) - len(failed)} of {count} done{skipped}: [bold]{out / 'index.html'}[/]",
        soft_wrap=True,
    )
    for path, error in failed:
        errors.print(f"[bold red]failed:[/] {escape(f'{path}: {error}')}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _stages(count: int, given: dict[str, Path | None]) -> dict[str, Any]:
    """Return the folders of the first stages: those given, else those that come with the package.

    A shipped stage goes only with the shipped ones below it.
    """
    from monai_lora_sam.coronary.pipeline import shipped_stages

    names = list(given)[:count]
    beyond = [name for name in given if name not in names and given[name] is not None]
    if beyond:
        raise ValueError(
            f"--{beyond[0]}: expected --stages {list(given).index(beyond[0]) + 1}, found {count}"
        )
    shipped = shipped_stages(count)
    folders: dict[str, Any] = {}
    for name in names:
        folder = given[name]
        if folder is None and not any(given[below] for below in folders):
            folder = shipped.get(name)
        if folder is None:
            later = [other for other in names[names.index(name) :] if given[other] is not None]
            if later:
                raise ValueError(f"--{later[0]}: expected the stage below it by --{name}, found none")
            break
        folders[name] = folder
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
