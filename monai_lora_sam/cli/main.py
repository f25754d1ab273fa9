"""``monai-lora-sam``: demo, run, qca, prepare, adapters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from monai_lora_sam import __version__
from monai_lora_sam.cli import adapters, prepare
from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.coronary.cli import qca, run

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
app.command(epilog=run.EPILOG)(run.run)
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
        from monai_lora_sam.coronary.cli.run_demo import run_demo

        page = run_demo(out, angiogram, console)
    console.print(f"Open [bold]{page}[/] in a browser.", soft_wrap=True)


if __name__ == "__main__":
    app()
