"""``monai-lora-sam adapters``: look at trained stages and adapters, merge them, plan their size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors

app = typer.Typer(no_args_is_help=True, help="Look at trained adapters, merge them, plan their size.")


@app.command(
    "list", epilog="Examples:\n\nmonai-lora-sam adapters list\n\nmonai-lora-sam adapters list models"
)
def list_(
    root: Annotated[
        Path | None, typer.Argument(help="Folder to search. Default: those shipped with the package.")
    ] = None,
) -> None:
    """List the adapters below a folder: base, parents, size, scores; damaged ones with what is wrong."""
    with one_line_errors():
        from monai_lora_sam.adapters import list_adapters
        from monai_lora_sam.stages import SHIPPED

        root = root or SHIPPED
        cards = list_adapters(root)
        if not cards:
            raise FileNotFoundError(f"{root}: expected folders with a card.json, found none")
        table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
        for column in ("folder", "name, version", "strategy", "base", "on top of", "size", "scores"):
            table.add_column(column, no_wrap=column != "on top of")
        trained_on = {}
        for card in cards:
            folder = Path(card["folder"])
            shown = str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)
            if "error" in card:
                table.add_row(shown, f"[red]unusable:[/] {card['error']}")
                continue
            size = sum((folder / file).stat().st_size for file in card["files"])
            metrics = {name: value for name, value in card.get("metrics", {}).items() if value is not None}
            table.add_row(
                shown,
                f"{card['name']} {card['version']}",
                card["strategy"],
                card["encoder"]["name"],
                ", ".join(parent["name"] for parent in card["parents"]) or "–",
                f"{size / 1e6:.2f} MB",
                "\n".join(f"{name} {value:.3f}" for name, value in metrics.items()),
            )
            if "training_data" in card:
                trained_on[shown] = card["training_data"]
        console.print(table)
        for shown, data in trained_on.items():
            console.print(f"[bold]{shown}[/] was trained on: {data}", highlight=False)


@app.command(epilog="Example:\n\nmonai-lora-sam adapters show models/best")
def show(folder: Annotated[Path, typer.Argument(help="An adapter's folder.")]) -> None:
    """Print the card of an adapter, after checking its files against it."""
    with one_line_errors():
        from monai_lora_sam.adapters import verify_folder

        console.print_json(data=verify_folder(folder))


@app.command(
    epilog="Example:\n\nmonai-lora-sam adapters merge models/best --out merged\n\n"
    "The result is a plain encoder: build_encoder(name, pretrained='merged') reads it, as does transformers."
)
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Adapter folders, parents before their children.")],
    out: Annotated[Path, typer.Option(help="Folder for config.json and model.safetensors.")],
    pretrained: Annotated[
        str | None, typer.Option(help="Weights of the base encoder, if not at their usual place.")
    ] = None,
) -> None:
    """Merge adapters into their base and write a plain encoder."""
    with one_line_errors():
        from monai_lora_sam.adapters import AdapterStack, read_card
        from monai_lora_sam.encoders import build_encoder, save_encoder

        encoder = read_card(folders[0])["encoder"]
        stack = AdapterStack(build_encoder(encoder["name"], pretrained or True, encoder["image_size"]))
        names = [stack.load(folder) for folder in folders]
        save_encoder(stack.merge(*names), out)
        console.print(f"[bold]{out}[/]: {encoder['name']} with {', '.join(names)}", soft_wrap=True)


@app.command(epilog="Example:\n\nmonai-lora-sam adapters budget --encoder sam3 --encoder sam_vit_b")
def budget(
    encoder: Annotated[list[str], typer.Option(help="Encoders by name.")] = ["sam3", "sam_vit_b"],  # noqa: B006
    rank: Annotated[list[int], typer.Option(help="Ranks.")] = [4, 8, 16, 32, 64],  # noqa: B006
) -> None:
    """Print how many parameters and bytes an adapter has, without loading weights."""
    with one_line_errors():
        from monai_lora_sam.adapters import budget_table, format_budget

        print(format_budget(budget_table(encoder, rank)))
