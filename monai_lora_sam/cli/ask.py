"""``monai-lora-sam ask``: answer questions about an image in words and masks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.markup import escape

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.files import check_output_folder, printable

EPILOG = (
    "Examples:\n\n"
    'monai-lora-sam ask angiogram.png "Which artery supplies the front wall of the heart, and where is it here?" '
    "--adapter models/reasoning/best --out lad\n\n"
    "monai-lora-sam ask angiogram.png --chat --adapter models/reasoning/best --out answers"
)

app = typer.Typer()


@app.command(epilog=EPILOG)
def ask(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF or single-frame DICOM.", show_default=False)],
    question: Annotated[
        str | None, typer.Argument(help="In English, up to 1,000 characters.", show_default=False)
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="Adapter that answers questions: its folder, or the name of an installed one.",
            metavar="NAME|FOLDER",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for mask.png, overlay.png and segmentation.json.")
    ] = None,
    chat: Annotated[
        bool,
        typer.Option(
            "--chat",
            help="Read further questions, one a line, up to an empty one; the image is encoded once. Each answer "
            "gets a folder of its own: 1, 2, …",
        ),
    ] = False,
    temperature: Annotated[
        float, typer.Option(min=0, help="Of sampling; 0 takes the likeliest word each time.")
    ] = 0.0,
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of the image encoder in place of its own.", metavar="FILE|FOLDER|ID"),
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            help="Where the adapter's language model is. Default: as its card names it.",
            metavar="NAME|FILE|FOLDER|ID",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps. Default: cuda where there is one.")
    ] = None,
) -> None:
    """Answer questions about an image in words and masks."""
    with one_line_errors():
        if question is None and not chat:
            raise ValueError("expected a question, or --chat, found neither")
        if adapter is None:
            raise ValueError(
                "expected --adapter, found none: no adapter that answers questions is shipped; train one by "
                "`monai-lora-sam train reasoning_segmentation`"
            )
        if out is not None:
            check_output_folder(out)
        from monai_lora_sam.images import read_colour_image
        from monai_lora_sam.networks import check_question
        from monai_lora_sam.prompting import ask_image, encode_pixels, load_reasoning, write_answer

        if question is not None:
            check_question(question)
        pixels = read_colour_image(image).pixels
        network = load_reasoning(adapter, weights, language_model, device)
        start = perf_counter()
        embedding = encode_pixels(network, pixels)
        for number, text in enumerate(_questions(question, chat), 1):
            try:
                (answered,) = ask_image(network, embedding, [text], temperature)
            except ValueError as error:
                if not chat:
                    raise
                console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
                continue
            console.print(f"[bold]{escape(printable(answered.text))}[/]", highlight=False, soft_wrap=True)
            areas = [f"{one.prompt.name}: {one.mask.sum():,} px" for one in answered.objects]
            seconds = f"{perf_counter() - start:.1f} s"
            found = "; ".join(areas) or "no mask"
            console.print(f"{escape(printable(found))} ({seconds})", highlight=False, soft_wrap=True)
            if out is not None:
                files = write_answer(out / str(number) if chat else out, image, pixels, answered, network)
                console.print(
                    ", ".join(escape(printable(file)) for file in files), soft_wrap=True, highlight=False
                )
            start = perf_counter()


def _questions(first: str | None, chat: bool) -> Iterator[str]:
    """Yield the question of the command line, and those of standard input up to an empty line."""
    if first is not None:
        yield first
    while chat:
        if sys.stdin.isatty():
            console.print("[bold]question:[/] ", end="")
        line = sys.stdin.readline().strip()
        if not line:
            return
        yield line
