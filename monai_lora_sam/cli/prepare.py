"""``monai-lora-sam prepare``: write the datalist of a data set, found by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from monai_lora_sam.cli.console import console, one_line_errors, progress
from monai_lora_sam.cli.plugins import PluginGroup
from monai_lora_sam.files import check_output_file, check_output_folder, printable
from monai_lora_sam.registry import Registry

ValidationFraction = Annotated[
    float,
    typer.Option(min=0, max=1, help="Part of the cases kept for validation; 1 to score on all of them."),
]
Seed = Annotated[int, typer.Option(help="Another seed gives another split.")]
PerVolume = Annotated[
    int | None,
    typer.Option(min=1, help="Most slices of a volume, evenly spaced over those with objects. Default: all."),
]
Smallest = Annotated[int, typer.Option(min=1, help="Fewest pixels of an object that makes a slice count.")]
Window = Annotated[
    str | None,
    typer.Option(
        help="Intensities of volumes: ct_abdomen, ct_lung, ct_bone, ct_brain, percentiles, or level and width in HU. "
        "Default: ct_abdomen for CT, else percentiles.",
        metavar="PRESET|LEVEL,WIDTH",
    ),
]
Axis = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2,
        help="Axis across which volumes are cut: 0 rows, 1 columns, 2 slices. Default: the one of largest spacing.",
    ),
]
Channel = Annotated[
    int | None, typer.Option(min=0, help="Channel of volumes of four dimensions, counted from 0.")
]
#: As `data.SMALLEST_OBJECT`, which is not imported, so that --help stays fast.
SMALLEST_OBJECT = 51

DatalistFolder = Annotated[Path, typer.Option(help="Folder to write: labels and datalist.json.")]


class Datasets(PluginGroup):
    """Offer the data sets of all installed packages."""

    registry = Registry("monai_lora_sam.datasets", "data set")


app = typer.Typer(cls=Datasets, no_args_is_help=True)
folders_app = typer.Typer()
combine_app = typer.Typer()
cosmos_app = typer.Typer()
decathlon_app = typer.Typer()
index_app = typer.Typer()
reasonseg_app = typer.Typer()


@app.callback(epilog="Example:\n\nmonai-lora-sam prepare folders images masks --out data/mine")
def prepare() -> None:
    """Make a datalist that the bundles train on."""


def tell_datalist(datalist: Path) -> None:
    """Print how many images each split of a datalist has, volumes and objects where it has some, and its warnings."""
    from monai_lora_sam.data import read_datalist

    content = read_datalist(datalist)
    counts = ", ".join(f"{len(content[s])} {s}" for s in ("training", "validation", "test") if content[s])
    console.print(f"[bold]{escape(str(datalist))}[/]: {counts}", soft_wrap=True)
    entries = [entry for split in ("training", "validation", "test") for entry in content[split]]
    if volumes := {entry["volume"] for entry in entries if "volume" in entry}:
        objects = Counter(thing["name"] for entry in entries for thing in entry.get("objects") or [])
        of = ", ".join(f"{count} {name}" for name, count in objects.items())
        console.print(f"slices of {len(volumes)} volumes with {escape(of)}", soft_wrap=True)
    for warning in content.get("warnings") or []:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False, soft_wrap=True)


@folders_app.command(
    epilog="Examples:\n\n"
    "monai-lora-sam prepare folders images masks --out data/liver --task liver --class-name liver\n\n"
    "Volumes (NIfTI), masks with the values 1 and 2:\n\n"
    "monai-lora-sam prepare folders ct masks --out data/ct --class-name liver --class-name tumour "
    "--window ct_abdomen\n\n"
    "monai-lora-sam prepare folders images --out data/unlabelled"
)
def folders(
    images: Annotated[Path, typer.Argument(help="Folder of pictures, or of volumes as NIfTI.")],
    out: DatalistFolder,
    masks: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of masks with the same names: 0/255 or 0/1, or 0, 1, 2 … for the class names. Left out: "
            "pictures alone, for distillation.",
            show_default=False,
        ),
    ] = None,
    validation_fraction: ValidationFraction = 0.2,
    seed: Seed = 0,
    task: Annotated[
        str, typer.Option(help="Task of the masks, by which bundles know them.")
    ] = "segmentation",
    class_name: Annotated[
        list[str] | None,
        typer.Option(help="Name of the structure of value 1, 2, …; repeatable. Default: foreground."),
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="As DICOM names it: CT, MR, US, OP … CT gets the window ct_abdomen.")
    ] = None,
    per_volume: PerVolume = None,
    smallest: Smallest = SMALLEST_OBJECT,
    window: Window = None,
    axis: Axis = None,
    channel: Channel = None,
) -> None:
    """Pair images with masks, where there are any, and split them by case; volumes are cut into slices."""
    with one_line_errors():
        from monai_lora_sam.data import SliceSettings, prepare_folders

        check_output_folder(out)
        settings = SliceSettings(window, axis, per_volume, smallest, channel)
        names = ["background", *(class_name or ["foreground"])]
        with progress("volumes") as bars:
            datalist = prepare_folders(
                images, masks, out, names, task, settings, modality, validation_fraction, seed, _advance(bars)
            )
        tell_datalist(datalist)


@decathlon_app.command(
    epilog="Examples:\n\nmonai-lora-sam prepare decathlon Task04_Hippocampus --out data/hippocampus\n\n"
    "monai-lora-sam prepare decathlon Task03_Liver --out data/liver --per-volume 20\n\n"
    "monai-lora-sam prepare decathlon Task01_BrainTumour --out data/brain --channel 0"
)
def decathlon(
    root: Annotated[Path, typer.Argument(help="Folder with dataset.json, imagesTr and labelsTr.")],
    out: DatalistFolder,
    validation_fraction: ValidationFraction = 0.2,
    seed: Seed = 0,
    per_volume: PerVolume = None,
    smallest: Smallest = SMALLEST_OBJECT,
    window: Window = None,
    axis: Axis = None,
    channel: Channel = None,
) -> None:
    """Cut the volumes of a Medical Segmentation Decathlon task into slices, split by volume."""
    with one_line_errors():
        from monai_lora_sam.data import SliceSettings, prepare_decathlon

        check_output_folder(out)
        settings = SliceSettings(window, axis, per_volume, smallest, channel)
        with progress("volumes") as bars:
            datalist = prepare_decathlon(root, out, settings, validation_fraction, seed, _advance(bars))
        tell_datalist(datalist)


def _advance(bars: Progress) -> Callable[[int, int], None]:
    """Return a function that moves a bar to a number of items done, out of all."""
    bar = bars.add_task("", total=None, visible=False)
    return lambda done, count: bars.update(bar, completed=done, total=count, visible=True)


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
            datalist = prepare_cosmos(root, out, modalities, _advance(bars))
        tell_datalist(datalist)


@index_app.command(
    epilog="Examples:\n\nmonai-lora-sam prepare index study --out study.parquet\n\n"
    "monai-lora-sam prepare index COSMOS archive/dicom --out all.parquet"
)
def index(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Image files, folders of them at any depth, DICOM trees, COSMOS-1050K."),
    ],
    out: Annotated[
        Path, typer.Option(help="Parquet file to write: id, path, size and SHA-256 of each image.")
    ],
) -> None:
    """List any number of images for `predict`; they stream through, so that memory stays flat."""
    with one_line_errors():
        from monai_lora_sam.index import index_images

        check_output_file(out)
        with progress("images") as bars:
            bar = bars.add_task("", total=None)
            summary = index_images(sources, out, lambda done: bars.update(bar, completed=done))
    left_out = f", {summary.left_out:,} other files left out" if summary.left_out else ""
    console.print(
        f"[bold]{escape(printable(out))}[/]: {summary.images:,} images, {summary.bytes:,} bytes{left_out}",
        soft_wrap=True,
        highlight=False,
    )
    for word, count, first in (
        ("left out", summary.left_out, summary.first_left_out),
        ("failed", summary.unreadable, summary.first_unreadable),
    ):
        for one in first:
            console.print(
                f"{word}: {escape(printable(one.path))}: {one.reason}", soft_wrap=True, highlight=False
            )
        if count > len(first):
            console.print(f"{word}: {count - len(first):,} more")
    if summary.unreadable:
        raise typer.Exit(1)


@reasonseg_app.command(epilog="Example:\n\nmonai-lora-sam prepare reasonseg ReasonSeg --out data/reasonseg")
def reasonseg(
    root: Annotated[Path, typer.Argument(help="Folder with train, val and test, or some of them.")],
    out: DatalistFolder,
) -> None:
    """List the images of ReasonSeg with their questions and draw their masks; no image is copied."""
    with one_line_errors():
        from monai_lora_sam.data import prepare_reasonseg

        check_output_folder(out)
        tell_datalist(prepare_reasonseg(root, out))
