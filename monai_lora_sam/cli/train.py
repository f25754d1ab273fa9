"""``monai-lora-sam train``: train a stage by its bundle."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from monai_lora_sam.cli.console import console, one_line_errors

app = typer.Typer()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--KEY VALUE]...",
    epilog="Examples:\n\n"
    "monai-lora-sam train vessel_segmentation --dataset_dir data/mine --out models/vessels\n\n"
    "monai-lora-sam train vessel_segmentation --dataset_dir data/mine --epochs 8 --lora#r 4 --batch 2\n\n"
    "monai-lora-sam train vessel_segmentation --dataset_dir data/mine --encoder sam3 --weights /weights/sam3",
)
def train(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="BUNDLE", help="Bundle by name, such as vessel_segmentation."),
    ] = None,
) -> None:
    """Train a stage by its bundle; every key of its train.yaml is an option: --key value.

    --encoder, --weights, --batch and --out stand for the keys encoder_name, pretrained, batch_size and output_dir. A
    killed run goes on when the same command is given again.
    """
    # Before torch is loaded: blocks of growing size leave gaps on a GPU that is nearly full.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    with one_line_errors():
        from monai_lora_sam.cli.keys import run_with_keys

        run = run_with_keys(arguments or [], ["train.yaml"])
        folder = run.parser.get_parsed_content("output_dir")
    console.print(f"Stage: [bold]{folder}/best[/]", soft_wrap=True)
