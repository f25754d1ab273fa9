"""``monai-lora-sam adapt``: train a LoRA adapter on one's own images and masks."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors, progress
from monai_lora_sam.cli.keys import parse_keys
from monai_lora_sam.files import printable

app = typer.Typer()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Examples:\n\n"
    "monai-lora-sam adapt images masks --name liver_ct --out adapters/liver_ct\n\n"
    "monai-lora-sam adapt ct_volumes ct_masks --class-name liver --modality CT --name liver --out adapters/liver\n\n"
    "monai-lora-sam adapt Task04_Hippocampus --name hippocampus --out adapters/hippocampus --minutes 30\n\n"
    "monai-lora-sam adapt drive/images drive/manual --name vessels --out adapters/vessels --automatic\n\n"
    "monai-lora-sam adapt images masks --name polyp --out models/polyp --encoder medsam_lite --quantise nf4 --folds 5",
)
def adapt(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES [MASKS]",
            help="Folders of pictures, or of volumes as NIfTI, and of masks of the same names; or alone a datalist, a "
            "Decathlon or a COSMOS folder.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Of the adapter: letters, digits, - and _.")],
    out: Annotated[Path, typer.Option(help="Folder to write: adapter, report.html, command.txt.")],
    class_name: Annotated[
        list[str] | None,
        typer.Option(help="Name of the object of value 1, 2, … in masks; repeatable. Default: foreground."),
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="As DICOM names it: CT, MR, US, OP … CT gets the window ct_abdomen.")
    ] = None,
    automatic: Annotated[
        bool,
        typer.Option(
            "--automatic", help="Train a head that needs no prompt: for vessels, rings, organs always there."
        ),
    ] = False,
    minutes: Annotated[
        float, typer.Option(help="Time for everything; the training is planned for it.")
    ] = 10.0,
    folds: Annotated[int | None, typer.Option(help="Cross-validate with so many parts, too.")] = None,
    few_shot: Annotated[int | None, typer.Option(help="Train on so many cases, drawn by the seed.")] = None,
    encoder: Annotated[
        str,
        typer.Option(help="Base: mini, medsam_lite, mini_vit, mobile_sam, sam_vit_b, sam_vit_l, sam_vit_h."),
    ] = "mini",
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of the base in place of its own.", metavar="FILE|FOLDER|ID"),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side in px that images are scaled to. Default: planned.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step. Default: planned.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps. Default: cuda where there is one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of split, few shots, weights and augmentation.")] = 0,
) -> None:
    """Train a LoRA adapter on images and masks, compare it with its base, and write a report.

    Boxes and points prompt the result; with --automatic it needs none and finds its objects itself.

    The data are checked first and all problems listed. Size, batch and length fit the machine and the time.
    Every other key of the bundle modality_adapter is an option, too: --key value. A killed run goes on when the same
    command is given again.
    """
    with one_line_errors():
        folders, rest = _folders_and_keys(sources)
        keys = {
            "encoder_name": encoder,
            "pretrained": weights,
            "image_size": image_size,
            "batch_size": batch,
            "few_shot": few_shot,
            "seed": seed,
            **parse_keys(rest),
        }

        from monai_lora_sam.adaptation import AdaptationRequest
        from monai_lora_sam.adaptation import adapt as run

        given = {key: value for key, value in keys.items() if value is not None}
        masks = Path(folders[1]) if len(folders) == 2 else None
        request = AdaptationRequest(
            Path(folders[0]),
            masks,
            name,
            out,
            minutes,
            folds,
            tuple(class_name or ()),
            modality,
            device,
            automatic,
            given,
        )
        with ExitStack() as shown:
            bars: dict[str, tuple[Progress, TaskID]] = {}

            def watch(items: str, done: int, count: int) -> None:
                """Show one bar at a time, and none while the training shows its own."""
                if items not in bars:
                    bar = shown.enter_context(progress(items))
                    bars[items] = bar, bar.add_task("", total=count)
                bars[items][0].update(bars[items][1], completed=done)
                if done >= count:
                    shown.close()
                    bars.clear()

            result = run(request, tell=_tell, watch=watch)
    items = result.cross_validation or result.trained.comparison
    known = [key for key in ("before", "after", "gain") if key in items[0]]
    table = Table(title="Mean Dice", box=box.SIMPLE, pad_edge=False)
    for column in ("object" if automatic else "prompt", "objects", *known):
        table.add_column(column, justify="left" if column in ("object", "prompt") else "right")
    for item in items:
        numbers = (format(item[key], "+.3f" if key == "gain" else ".3f") for key in known)
        table.add_row(escape(item["mode"]), str(item["objects"]), *numbers)
    console.print(table)
    console.print(f"Report: [bold]{escape(printable(str(result.page)))}[/]", soft_wrap=True)
    console.print(f"Use it: [bold]{escape(printable(result.command))}[/]", soft_wrap=True, highlight=False)


def _tell(line: str) -> None:
    console.print(escape(printable(line)), soft_wrap=True, highlight=False)


def _folders_and_keys(words: list[str]) -> tuple[list[str], list[str]]:
    """Return one or two folders, and the keys with their values that stand among them."""
    folders: list[str] = []
    keys: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            folders.append(word)
            continue
        keys.append(word)
        if "=" not in word and rest:
            keys.append(rest.pop(0))
    if not 1 <= len(folders) <= 2:
        raise ValueError(
            f"expected IMAGES and MASKS, or labelled data alone, found {' '.join(folders) or 'none'}"
        )
    return folders, keys
