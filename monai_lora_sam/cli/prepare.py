"""``monai-lora-sam prepare``: write the datalist of a data set, found by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from monai_lora_sam.cli.console import console, one_line_errors, progress
from monai_lora_sam.cli.plugins import PluginGroup
from monai_lora_sam.files import check_output_folder
from monai_lora_sam.registry import Registry

DatalistFolder = Annotated[Path, typer.Option(help="Folder to write: labels and datalist.json.")]


class Datasets(PluginGroup):
    """Offer the data sets of all installed packages."""

    registry = Registry("monai_lora_sam.datasets", "data set")


#: Task of a datalist of images alone.
UNLABELLED = "unlabelled"

app = typer.Typer(cls=Datasets, no_args_is_help=True)
folders_app = typer.Typer()
combine_app = typer.Typer()
cosmos_app = typer.Typer()


@app.callback(epilog="Example:\n\nmonai-lora-sam prepare folders images masks --out data/mine")
def prepare() -> None:
    """Make a datalist that the bundles train on."""


def tell_datalist(datalist: Path) -> None:
    """Print how many images each split of a datalist has, and its warnings."""
    from monai_lora_sam.data import read_datalist

    content = read_datalist(datalist)
    counts = ", ".join(f"{len(content[s])} {s}" for s in ("training", "validation", "test") if content[s])
    console.print(f"[bold]{escape(str(datalist))}[/]: {counts}", soft_wrap=True)
    for warning in content.get("warnings") or []:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False, soft_wrap=True)


@folders_app.command(
    epilog="Example:\n\n"
    "monai-lora-sam prepare folders images masks --out data/liver --task liver --class-name liver\n\n"
    "monai-lora-sam prepare folders images --out data/unlabelled"
)
def folders(
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    out: DatalistFolder,
    masks: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of masks with the same names; 0/255 or 0/1. Left out: images alone, for distillation.",
            show_default=False,
        ),
    ] = None,
    validation_fraction: Annotated[
        float,
        typer.Option(min=0, max=1, help="Part of the cases kept for validation; 1 to score on all of them."),
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    task: Annotated[
        str, typer.Option(help="Task of the masks, by which bundles know them.")
    ] = "segmentation",
    class_name: Annotated[str, typer.Option(help="Name of the masked structure.")] = "foreground",
) -> None:
    """Pair images with masks, where there are any, and split them by case."""
    with one_line_errors():
        from monai_lora_sam.data import datalist_from_folders, split_by_case, write_datalist

        check_output_folder(out)
        warnings: list[str] = []
        entries = datalist_from_folders(images, masks, warnings=warnings)
        shares = {"training": 1 - validation_fraction, "validation": validation_fraction}
        shares = {part: share for part, share in shares.items() if share > 0}
        splits = split_by_case(entries, shares, seed)
        datalist = write_datalist(
            out / "datalist.json",
            name=out.name,
            task=task if masks else UNLABELLED,
            class_names=["background", class_name] if masks else [],
            splits=splits,
            warnings=warnings,
        )
        tell_datalist(datalist)


@combine_app.command(
    epilog="Examples:\n\nmonai-lora-sam prepare combine data/site_a data/site_b --task liver --out data/mixed\n\n"
    "A set that is given twice counts twice in training:\n\n"
    "monai-lora-sam prepare combine data/site_a data/site_b data/site_b --task liver --out data/mixed"
)
def combine(
    sources: Annotated[list[Path], typer.Argument(help="Prepared folders, each with a datalist.json.")],
    out: DatalistFolder,
    task: Annotated[str, typer.Option(help="Task of all sources, as their datalists name it.")],
) -> None:
    """Put several prepared data sets into one datalist; no image is copied."""
    with one_line_errors():
        from monai_lora_sam.data import combine_datalists

        check_output_folder(out)
        tell_datalist(combine_datalists(sources, out, task))


@cosmos_app.command(
    epilog="Examples:\n\nmonai-lora-sam prepare cosmos COSMOS --out data/cosmos\n\n"
    "monai-lora-sam prepare cosmos COSMOS --out data/cosmos --modality 31_Kidney=CT --modality 40_Brain=MR"
)
def cosmos(
    root: Annotated[Path, typer.Argument(help="Folder with data_infor_json and test_data.")],
    out: DatalistFolder,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="DATASET=MODALITY where its name does not tell, such as 31_Kidney=CT; repeatable."),
    ] = None,
) -> None:
    """List the images and objects of COSMOS-1050K; no image is copied."""
    with one_line_errors():
        from monai_lora_sam.data import prepare_cosmos

        check_output_folder(out)
        wrong = [text for text in modality or [] if not all(text.partition("="))]
        if wrong:
            raise ValueError(f"--modality: expected DATASET=MODALITY, found {wrong[0]!r}")
        modalities = dict(text.split("=", 1) for text in modality or [])
        with progress("images") as bars:
            bar = bars.add_task("", total=None)
            datalist = prepare_cosmos(
                root, out, modalities, lambda done, count: bars.update(bar, completed=done, total=count)
            )
        tell_datalist(datalist)
