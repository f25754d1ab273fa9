"""``monai-lora-sam evaluate``: score a trained stage by its bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from monai_lora_sam.cli.console import one_line_errors

app = typer.Typer()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--KEY VALUE]...",
    epilog="Examples:\n\n"
    "monai-lora-sam evaluate vessel_segmentation --dataset_dir data/mine --out models/vessels\n\n"
    "monai-lora-sam evaluate vessel_segmentation --dataset_dir data/mine --stage_folder models/vessels/last "
    "--split test",
)
def evaluate(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="BUNDLE", help="Bundle by name, such as vessel_segmentation."),
    ] = None,
) -> None:
    """Score a trained stage by its bundle; every key of train.yaml and evaluate.yaml is an option: --key value.

    --out is the folder that training wrote; its stage `best` is scored on the split `validation`.
    """
    with one_line_errors():
        from monai_lora_sam.cli.keys import run_with_keys

        run_with_keys(arguments or [], ["train.yaml", "evaluate.yaml"])
