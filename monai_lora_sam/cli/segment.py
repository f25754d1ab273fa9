"""``monai-lora-sam segment``: segment what boxes and points show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box as boxes
from rich.markup import escape
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.files import check_output_folder, printable

if TYPE_CHECKING:
    from monai_lora_sam.prompting import ObjectPrompt

EPILOG = (
    "Examples:\n\n"
    "monai-lora-sam segment abdomen.png --box 120,187,184,250 --out kidney\n\n"
    "monai-lora-sam segment abdomen.dcm --box 120,187,184,250 --point 150,222,0 --out kidney\n\n"
    "monai-lora-sam segment abdomen.png --prompts organs.json --out organs\n\n"
    "where organs.json is\n\n"
    '{"objects": [{"name": "right kidney", "box": [120, 187, 184, 250]}, {"name": "aorta", "points": [[254, 168, 1]]}]}'
)

app = typer.Typer()


@app.command(epilog=EPILOG)
def segment(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF, NIfTI or DICOM.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for mask.png, overlay.png and segmentation.json.")],
    box: Annotated[
        list[str] | None,
        typer.Option(help="Box around an object in px; several for several objects.", metavar="X0,Y0,X1,Y1"),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            help="Point in px: in the object, or beside it with the label 0. All belong to one object.",
            metavar="X,Y[,LABEL]",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="JSON file with the prompts of many objects: see below.", metavar="FILE"),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="Adapter to segment with: its folder, or the name of an installed one.",
            metavar="NAME|FOLDER",
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Default: the adapter's own, or medsam_lite.", metavar="NAME")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights of the encoder in place of its own.", metavar="FILE|FOLDER|ID")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side in px that images are scaled to. Default: the encoder's own.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps. Default: cuda where there is one.")
    ] = None,
) -> None:
    """Segment the objects of an image that boxes and points show."""
    with one_line_errors():
        from monai_lora_sam.images import read_colour_image
        from monai_lora_sam.prompting import load_promptable, segment_image, write_objects

        objects = _objects(box or [], point or [], prompts)
        check_output_folder(out)
        picture = read_colour_image(image)
        network = load_promptable(encoder, weights, image_size, adapter, device)
        try:
            found = segment_image(network, picture.pixels, objects)
        except ValueError as error:
            raise ValueError(f"{prompts or image}: {error}") from error
        stack = network.stack
        made_by = {
            "image": printable(image.name),
            "encoder": {"name": stack.encoder.name, "fingerprint": stack.encoder.fingerprint},
            "adapters": list(network.adapters),
            "input_size": stack.encoder.image_size,
        }
        files = write_objects(out, picture.pixels, found, made_by)
        given = {kind for one in objects for kind in one.tensors() if kind != "point_labels"}
    table = Table(box=boxes.SIMPLE, pad_edge=False)
    table.add_column("object")
    for column in ("area (px)", "predicted IoU"):
        table.add_column(column, justify="right")
    for one in found:
        area = f"{one.mask.sum():,}" if one.mask.any() else "nothing found"
        table.add_row(escape(one.prompt.name), area, f"{one.predicted_iou:.2f}")
    console.print(table)
    untrained = given - set(network.head.prompts)
    if untrained:
        console.print(
            f"[yellow]note:[/] {escape(stack.encoder.name)} was never trained with {' and '.join(sorted(untrained))}: "
            f"prompt it by {' and '.join(network.head.prompts)}, or train an adapter."
        )
    console.print(", ".join(escape(printable(file)) for file in files), soft_wrap=True, highlight=False)


def _objects(boxes_given: list[str], points: list[str], file: Path | None) -> list[ObjectPrompt]:
    """Return the objects that options or a file show."""
    from monai_lora_sam.prompting import ObjectPrompt, read_prompts

    if file is not None and (boxes_given or points):
        raise ValueError("expected --prompts or --box and --point, found both")
    if file is not None:
        return read_prompts(file)
    if not boxes_given and not points:
        raise ValueError("expected --box, --point or --prompts, found none")
    if len(boxes_given) > 1 and points:
        raise ValueError(
            f"expected one --box with points, found {len(boxes_given)}: give several objects by --prompts"
        )
    sides = [tuple(_numbers("--box", text, "X0,Y0,X1,Y1")) for text in boxes_given]
    shown = tuple(tuple(_numbers("--point", text, "X,Y or X,Y,LABEL")) for text in points)
    if len(sides) <= 1:
        return [ObjectPrompt("object", sides[0] if sides else None, shown)]
    return [ObjectPrompt(f"object {number}", box) for number, box in enumerate(sides, 1)]


def _numbers(option: str, text: str, form: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{option}: expected {form}, found {text!r}") from None
