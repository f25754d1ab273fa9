"""``monai-lora-sam export``: write a stage as ONNX, torch.export or a zipped MONAI bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.files import printable

EPILOG = (
    "Examples:\n\n"
    "monai-lora-sam export vessels --format onnx --int8 study --out exported\n\n"
    "monai-lora-sam export models/vessels/best --format bundle --out vessels_bundle"
)

app = typer.Typer()


@app.command(epilog=EPILOG)
def export(
    stage: Annotated[
        str,
        typer.Argument(
            help="Folder of a stage or adapter, or the name of an installed one.", metavar="FOLDER"
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the files; an earlier export there is replaced.")],
    form: Annotated[
        Literal["onnx", "torch_export", "bundle"],
        typer.Option("--format", help="onnx; torch_export (.pt2); or a MONAI bundle as one zip."),
    ] = "onnx",
    int8: Annotated[
        Path | None,
        typer.Option(
            help="Write the model in 8 bits for CPUs, too, with the ranges of some images.", metavar="IMAGES"
        ),
    ] = None,
    parent: Annotated[
        list[str] | None,
        typer.Option(
            help="Stage that this one was trained on top of, first to last; repeatable.", metavar="FOLDER"
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights of the encoder in place of its own.", metavar="FILE|FOLDER|ID")
    ] = None,
) -> None:
    """Write a stage, its adapters merged into the encoder, in a form that runs without this package."""
    with one_line_errors():
        from monai_lora_sam.export import export_stage

        files = export_stage(stage, out, form, int8=int8, weights=weights, parents=parent or [])
    for file in files:
        console.print(
            f"{escape(printable(file))}: {file.stat().st_size:,} bytes", soft_wrap=True, highlight=False
        )
