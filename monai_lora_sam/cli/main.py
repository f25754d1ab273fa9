"""``monai-lora-sam``: demo, run, qca, prepare, adapters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from monai_lora_sam import __version__
from monai_lora_sam.cli import adapters, prepare, qca
from monai_lora_sam.cli.console import console, errors, one_line_errors, progress

# Before torch is loaded: its threads must not spin while they wait. Where other programs want the processor, too,
# spinning made a training step many times longer (docs/training.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Small, stackable LoRA adapters for Segment-Anything models, trained and run as MONAI bundles.",
    epilog="Start with [bold]monai-lora-sam demo[/], then [bold]monai-lora-sam run angiogram.png --out results[/].",
)
app.add_typer(prepare.app, name="prepare")
app.add_typer(adapters.app, name="adapters")
app.command(epilog=qca.EPILOG)(qca.qca)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None: ...


@app.command(
    epilog="Examples:\n\n"
    "monai-lora-sam run angiogram.png --out results\n\n"
    "monai-lora-sam run study/ more/case.dcm --out results --vessels models/best\n\n"
    "monai-lora-sam run large.tif --out results --inference tiled"
)
def run(
    images: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, TIFF, NIfTI or DICOM files, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="Gets a folder for each image, and index.html over all.")],
    vessels: Annotated[
        Path | None,
        typer.Option(help="A trained stage: the folder `best` of a training run. Default: the shipped one."),
    ] = None,
    inference: Annotated[
        Literal["whole", "tiled"],
        typer.Option(
            help="whole: scale the image into the encoder's square. tiled: windows at its own scale."
        ),
    ] = "whole",
    pretrained: Annotated[
        str | None, typer.Option(help="Weights of the base encoder, if not at their usual place.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: cuda if there is one.")
    ] = None,
) -> None:
    """Find the vessels in angiograms and write masks, pictures and a report for each."""
    with one_line_errors():
        from monai_lora_sam.pipeline import CoronaryPipeline, find_images, run_files
        from monai_lora_sam.stages import SHIPPED

        count = len(find_images(images))
        pipeline = CoronaryPipeline(
            vessels or SHIPPED / "vessels",
            inference=inference,
            device=device,
            pretrained=pretrained or True,
        )
        with progress("angiograms") as bars:
            bar = bars.add_task("", total=count)
            outcomes = run_files(images, out, pipeline, done=lambda *_: bars.advance(bar))
    failed = [(path, error) for path, error in outcomes if error is not None]
    console.print(
        f"{len(outcomes) - len(failed)} of {count} done: [bold]{out / 'index.html'}[/]", soft_wrap=True
    )
    for path, error in failed:
        errors.print(f"[bold red]failed:[/] {path.name}: {error}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


@app.command(
    epilog="Examples:\n\nmonai-lora-sam demo\n\nmonai-lora-sam demo --out demo_output --angiogram my_angiogram.png"
)
def demo(
    out: Annotated[Path, typer.Option(help="Where phantoms, adapter and report.html go.")] = Path(
        "demo_output"
    ),
    angiogram: Annotated[Path | None, typer.Option(help="An angiogram of yours to run as well.")] = None,
) -> None:
    """Train a vessel adapter on synthetic angiograms and show what it finds: a few minutes on a laptop."""
    with one_line_errors():
        from monai_lora_sam.demo import run_demo

        page = run_demo(out, angiogram, console)
    console.print(f"Open [bold]{page}[/] in a browser.", soft_wrap=True)


if __name__ == "__main__":
    app()
