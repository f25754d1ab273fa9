"""``monai-lora-sam``: the program, whose commands are found by name."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

from monai_lora_sam import __version__
from monai_lora_sam.cli.console import console
from monai_lora_sam.cli.plugins import PluginGroup
from monai_lora_sam.registry import Registry

# Before torch is loaded: its threads must not spin while they wait. Where other programs want the processor, too,
# spinning made a training step many times longer (docs/training.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# It tells every command of an optional kernel that only 4-bit networks would use.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class Commands(PluginGroup):
    """Offer the commands of all installed packages."""

    registry = Registry("monai_lora_sam.commands", "command")


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Small, stackable LoRA adapters for Segment-Anything models, trained and run as MONAI bundles.",
    epilog="Start with [bold]monai-lora-sam prepare folders images masks --out data/liver[/].",
)


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


if __name__ == "__main__":
    app()
