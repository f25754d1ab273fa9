"""``monai-lora-sam segment``: segment the objects that boxes, points and words show, or that an adapter finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box as boxes
from rich.markup import escape
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.files import check_output_folder, printable

if TYPE_CHECKING:
    from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter, TextSegmenter
    from monai_lora_sam.prompting import ObjectPrompt, SegmentedObject

    Prompted = PromptableSegmenter | TextSegmenter
    Load = Callable[[], Prompted]
    Find = Callable[[], tuple[AdaptedSegmenter, list[str]]]
    Result = tuple[Prompted, list[SegmentedObject], list[Path]]

EPILOG = (
    "Examples:\n\n"
    "monai-lora-sam segment abdomen.png --box 120,187,184,250 --out kidney\n\n"
    "monai-lora-sam segment abdomen.dcm --box 120,187,184,250 --point 150,222,0 --out kidney\n\n"
    "monai-lora-sam segment liver_ct.nii.gz --slice 40 --box 60,90,200,230 --window ct_abdomen --out liver\n\n"
    "monai-lora-sam segment fundus.png --adapter adapters/vessels --out vessels\n\n"
    'monai-lora-sam segment angiogram.png --text "left anterior descending artery" --adapter models/words --out lad\n\n'
    "monai-lora-sam segment abdomen.png --prompts organs.json --out organs\n\n"
    "where organs.json is\n\n"
    '{"objects": [{"name": "right kidney", "box": [120, 187, 184, 250]}, {"name": "aorta", "points": [[254, 168, 1]]}]}'
)

app = typer.Typer()


@app.command(epilog=EPILOG)
def segment(
    image: Annotated[
        Path,
        typer.Argument(
            help="PNG, JPEG, TIFF, NIfTI or DICOM; a volume as NIfTI or as a folder of one DICOM series.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for mask.png (of a volume: mask.nii.gz), overlay.png and segmentation.json."
        ),
    ],
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
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="Phrase that names an object, for an adapter that was taught words; several for several objects.",
            metavar="PHRASE",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="JSON file with the prompts of many objects: see below.", metavar="FILE"),
    ] = None,
    slice_index: Annotated[
        int | None,
        typer.Option(
            "--slice", min=0, help="Slice of a volume that box and points lie in, from 0.", metavar="N"
        ),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            help="Slices of a volume to segment. Default: until each object ends.", metavar="FIRST,LAST"
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="Intensities of a volume: ct_abdomen, ct_lung, ct_bone, ct_brain, percentiles, or level and width in "
            "HU. Default: ct_abdomen for CT in DICOM, else percentiles.",
            metavar="PRESET|LEVEL,WIDTH",
        ),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="Adapter to segment with: its folder, or the name of an installed one. That of "
            "`adapt --automatic` needs no prompt.",
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
    """Segment the objects of an image that boxes, points or words show, or that an adapter finds by itself."""
    with one_line_errors():
        from monai_lora_sam.images import is_volume
        from monai_lora_sam.prompting import load_automatic, load_promptable

        objects = _objects(box or [], point or [], text or [], prompts, slice_index, adapter)
        check_output_folder(out)
        of_volume = is_volume(image)
        if objects:
            segment_file = _segment_volume if of_volume else _segment_picture
            load = partial(load_promptable, encoder, weights, image_size, adapter, device)
            network, found, files = segment_file(image, out, objects, load, prompts or image, slices, window)
        else:
            assert adapter is not None  # _objects asks for a prompt without one
            find = partial(load_automatic, adapter, encoder, weights, image_size, device)
            found, files = _find(image, out, find, slices, window)
    table = Table(box=boxes.SIMPLE, pad_edge=False)
    table.add_column("object")
    with_iou = bool(objects) and not of_volume
    for column in ("voxels", "slices") if of_volume else ("area (px)", *["predicted IoU"] * with_iou):
        table.add_column(column, justify="right")
    for one in found:
        size = f"{one.mask.sum():,}" if one.mask.any() else "nothing found"
        if one.presence is not None:
            size += f" (presence {one.presence:.2f})"
        cells = [size]
        if of_volume:
            cells.append(str(one.mask.any((0, 1)).sum()))
        elif with_iou:
            cells.append(f"{one.predicted_iou:.2f}")
        table.add_row(escape(one.prompt.name), *cells)
    console.print(table)
    if objects:
        _note_untrained(network, objects)
    console.print(", ".join(escape(printable(file)) for file in files), soft_wrap=True, highlight=False)


def _note_untrained(network: Prompted, objects: list[ObjectPrompt]) -> None:
    """Say that a network was never trained with a kind of prompt that is given."""
    given = {kind for one in objects for kind in one.tensors() if kind != "point_labels"}
    given |= {"phrases"} if any(one.text is not None for one in objects) else set()
    if untrained := given - set(network.head.prompts):
        console.print(
            f"[yellow]note:[/] {escape(network.stack.encoder.name)} was never trained with "
            f"{' and '.join(sorted(untrained))}: prompt it by {' and '.join(network.head.prompts)}, or train an "
            "adapter."
        )


def _find(
    image: Path, out: Path, load: Find, slices: str | None, window: str | None
) -> tuple[list[SegmentedObject], list[Path]]:
    """Segment a picture or a volume without a prompt."""
    from monai_lora_sam.images import is_volume, read_colour_image, read_volume, to_unit_by_preset
    from monai_lora_sam.prompting import (
        find_objects,
        find_objects_in_volume,
        made_by,
        write_objects,
        write_volume_objects,
    )

    if not is_volume(image):
        _refuse_slices(image, slices, window)
        picture = read_colour_image(image)
        network, class_names = load()
        found = find_objects(network, picture.pixels, class_names)
        return found, write_objects(out, picture.pixels, found, made_by(image.name, network))
    volume = read_volume(image)
    window = window or ("ct_abdomen" if volume.modality == "CT" else "percentiles")
    pixels = to_unit_by_preset(volume.pixels, window)
    chosen = _ends(slices)
    network, class_names = load()
    found = find_objects_in_volume(network, volume, pixels, class_names, chosen, progress=True)
    record = {**made_by(image.name, network), "window": window}
    return found, write_volume_objects(out, volume, pixels, found, record)


def _refuse_slices(image: Path, *of_volumes: Any) -> None:
    if any(option is not None for option in of_volumes):
        raise ValueError(
            f"{image}: expected a volume with a slice, slices or a window, found a single picture"
        )


def _ends(slices: str | None) -> tuple[int, int] | None:
    """Return the first and the last slice of the option."""
    if slices is None:
        return None
    ends = _numbers("--slices", slices, "FIRST,LAST")
    if len(ends) != 2 or any(end != int(end) for end in ends):
        raise ValueError(f"--slices: expected FIRST,LAST, found {slices!r}")
    return int(ends[0]), int(ends[1])


def _segment_picture(
    image: Path,
    out: Path,
    objects: list[ObjectPrompt],
    load: Load,
    prompted_by: Path,
    slices: str | None,
    window: str | None,
) -> Result:
    from monai_lora_sam.images import read_colour_image
    from monai_lora_sam.prompting import made_by, segment_image, write_objects

    _refuse_slices(image, slices, window, *(one.slice_index for one in objects))
    picture = read_colour_image(image)
    network = load()
    with _naming(prompted_by):
        found = segment_image(network, picture.pixels, objects)
    return network, found, write_objects(out, picture.pixels, found, made_by(image.name, network))


def _segment_volume(
    image: Path,
    out: Path,
    objects: list[ObjectPrompt],
    load: Load,
    prompted_by: Path,
    slices: str | None,
    window: str | None,
) -> Result:
    from monai_lora_sam.images import read_volume, to_unit_by_preset
    from monai_lora_sam.prompting import made_by, segment_volume, write_volume_objects

    if any(one.text is not None for one in objects):
        raise ValueError(f"{image}: expected a single picture with words (--text), found a volume")
    if any(one.slice_index is None for one in objects):
        raise ValueError(f"{image}: expected the slice of each object in this volume (--slice), found none")
    chosen = _ends(slices)
    volume = read_volume(image)
    window = window or ("ct_abdomen" if volume.modality == "CT" else "percentiles")
    pixels = to_unit_by_preset(volume.pixels, window)
    network = load()
    with _naming(prompted_by):
        found = segment_volume(network, pixels, objects, chosen, progress=True)
    record = {**made_by(image.name, network), "window": window}
    return network, found, write_volume_objects(out, volume, pixels, found, record)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file whose prompts do not fit."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _objects(
    boxes_given: list[str],
    points: list[str],
    texts: list[str],
    file: Path | None,
    slice_index: int | None,
    adapter: str | None,
) -> list[ObjectPrompt]:
    """Return the objects that options or a file show; none where an adapter may find them by itself."""
    from monai_lora_sam.networks import check_phrases
    from monai_lora_sam.prompting import ObjectPrompt, read_prompts

    if file is not None and (boxes_given or points or texts or slice_index is not None):
        raise ValueError("expected --prompts, or --box, --point, --text and --slice, found both")
    if file is not None:
        return read_prompts(file)
    if not boxes_given and not points and not texts:
        if adapter is None or slice_index is not None:
            raise ValueError("expected --box, --point, --text or --prompts, found none")
        return []
    phrases = check_phrases(texts) if texts else []
    if (len(phrases) > 1 and (boxes_given or points)) or (phrases and len(boxes_given) > 1):
        raise ValueError(
            "expected one --text with one --box and points, found several: give several objects by --prompts"
        )
    if len(phrases) > 1:
        return [ObjectPrompt(phrase, None, (), slice_index, phrase) for phrase in phrases]
    if len(boxes_given) > 1 and points:
        raise ValueError(
            f"expected one --box with points, found {len(boxes_given)}: give several objects by --prompts"
        )
    sides = [tuple(_numbers("--box", text, "X0,Y0,X1,Y1")) for text in boxes_given]
    shown = tuple(tuple(_numbers("--point", text, "X,Y or X,Y,LABEL")) for text in points)
    if len(sides) <= 1:
        phrase = phrases[0] if phrases else None
        return [ObjectPrompt(phrase or "object", sides[0] if sides else None, shown, slice_index, phrase)]
    return [ObjectPrompt(f"object {number}", box, (), slice_index) for number, box in enumerate(sides, 1)]


def _numbers(option: str, text: str, form: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{option}: expected {form}, found {text!r}") from None
