"""``monai-lora-sam adapters``: list trained stages and adapters, merge, import and export them, plan their size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from monai_lora_sam.cli.console import console, one_line_errors

if TYPE_CHECKING:
    from monai_lora_sam.adapters import Branch

#: Number of characters of a fingerprint that are shown.
SHORT = 8

app = typer.Typer(no_args_is_help=True, help="List, merge, import and export adapters, plan their size.")


@app.command(
    "list", epilog="Examples:\n\nmonai-lora-sam adapters list\n\nmonai-lora-sam adapters list models"
)
def list_(
    root: Annotated[
        Path | None, typer.Argument(help="Folder to search. Default: those shipped with the package.")
    ] = None,
) -> None:
    """Show the adapters of a folder as a tree, children under their parents; list the damaged ones with the reason."""
    with one_line_errors():
        from monai_lora_sam.adapters import list_adapters
        from monai_lora_sam.stages import installed_folders

        for folder in [root] if root else installed_folders():
            _list(folder, list_adapters(folder))


def _list(root: Path, cards: list[dict[str, Any]]) -> None:
    """Print the tree of the adapters below a folder."""
    from monai_lora_sam.adapters import family_tree

    if not cards:
        raise FileNotFoundError(f"{root}: expected folders with a card.json, found none")
    tree = Tree(Text(str(root), "bold"))
    bases: dict[tuple[str, str], Tree] = {}
    for branch in family_tree(cards):
        encoder = branch.card["encoder"]
        quantisation = f", {encoder['quantisation']}" if encoder.get("quantisation") else ""
        base = (str(encoder.get("name")), str(encoder.get("fingerprint"))[:SHORT] + quantisation)
        if base not in bases:
            bases[base] = tree.add(Text(f"{base[0]} (base {base[1]})"))
        _grow(bases[base], branch, root)
    damaged = [card for card in cards if "error" in card]
    if damaged:
        unusable = tree.add(Text("unusable", "red"))
        for card in damaged:
            unusable.add(Text.assemble((_path_from(card, root), "cyan"), f": {card['error']}"))
    console.print(tree)
    trained_on: dict[str, list[str]] = {}
    for card in cards:
        if "training_data" in card:
            trained_on.setdefault(str(card["training_data"]), []).append(_path_from(card, root))
    for data, folders in trained_on.items():
        console.print(Text.assemble(("Trained on ", "bold"), f"{data}: {', '.join(folders)}"))


def _path_from(card: dict[str, Any], root: Path) -> str:
    """Return an adapter's folder as seen from the root of the listing."""
    folder = Path(card["folder"])
    return str(folder.relative_to(root)) if folder != root else folder.absolute().name


def _grow(tree: Tree, branch: Branch, root: Path) -> None:
    """Add an adapter to the tree, and its children under it."""
    card = branch.card
    what = [card["strategy"]]
    if card["strategy"] == "lora":
        what.append(f"r = {card['r']}")
    what.append(f"{card['bytes'] / 1e6:.2f} MB")
    if card["strategy"] != "frozen":  # which has the fingerprint of nothing
        what.append(f"fingerprint {card['fingerprint'][:SHORT]}")
    text = Text.assemble(
        (card["name"], "bold"), f" version {card['version']}  ", (_path_from(card, root), "cyan")
    )
    text.append("\n" + ", ".join(what))
    metrics = card.get("metrics")
    scores = [
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in (metrics.items() if isinstance(metrics, dict) else ())
        if value is not None
    ]
    if scores:
        text.append("\n" + ", ".join(scores), "green")
    for ancestor in branch.missing:
        known = [f"fingerprint {ancestor.fingerprint[:SHORT]}"] if ancestor.fingerprint else []
        known += [f"head {ancestor.head[:SHORT]}"] if ancestor.head else []
        text.append(f"\nmissing: {ancestor.name} ({', '.join(known)}), which it was trained on", "yellow")
    grown = tree.add(text)
    for child in branch.children:
        _grow(grown, child, root)


@app.command(epilog="Example:\n\nmonai-lora-sam adapters show models/best")
def show(folder: Annotated[Path, typer.Argument(help="An adapter's folder.")]) -> None:
    """Print the card of an adapter, after checking its files against it."""
    with one_line_errors():
        from monai_lora_sam.adapters import verify_folder

        console.print_json(data=verify_folder(folder))


@app.command(epilog="Example:\n\nmonai-lora-sam adapters renew models/best")
def renew(
    folders: Annotated[list[Path], typer.Argument(help="Folders of adapters or stages.")],
    weights: Annotated[
        str | None, typer.Option(help="Weights of the base encoder, if not at their usual place.")
    ] = None,
) -> None:
    """Bring the cards of earlier versions up to date, after checking their base; weights stay as they are."""
    with one_line_errors():
        from monai_lora_sam.adapters import read_card, renew_card
        from monai_lora_sam.encoders import build_encoder

        for folder in folders:
            base = read_card(folder)["encoder"]
            if not base:
                raise ValueError(
                    f"{folder}: expected an adapter or a stage on an encoder, found a network without"
                )
            card = renew_card(folder, build_encoder(base["name"], weights or True, base["image_size"]))
            console.print(f"[bold]{folder}[/]: form {card['format']}", soft_wrap=True)


@app.command(
    epilog="Example:\n\nmonai-lora-sam adapters merge models/best --out merged\n\n"
    "The result is a plain encoder: build_encoder(name, pretrained='merged') reads it, as does transformers."
)
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Adapter folders, parents before their children.")],
    out: Annotated[Path, typer.Option(help="Folder for config.json and model.safetensors.")],
    weights: Annotated[
        str | None, typer.Option(help="Weights of the base encoder, if not at their usual place.")
    ] = None,
) -> None:
    """Merge adapters into their base and write a plain encoder."""
    with one_line_errors():
        from monai_lora_sam.adapters import AdapterStack, read_card
        from monai_lora_sam.encoders import build_encoder, save_encoder

        encoder = read_card(folders[0])["encoder"]
        base = build_encoder(
            encoder["name"], weights or True, encoder["image_size"], quantise=encoder.get("quantisation")
        )
        stack = AdapterStack(base)
        names = [stack.load(folder) for folder in folders]
        save_encoder(stack.merge(*names), out)
        console.print(f"[bold]{out}[/]: {encoder['name']} with {', '.join(names)}", soft_wrap=True)


@app.command(
    "import",
    epilog="Example:\n\nmonai-lora-sam adapters import peft_folder --encoder sam_vit_b --out models/liver",
)
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder that PEFT wrote for the bare transformers model.")],
    encoder: Annotated[str, typer.Option(help="Encoder by name.")],
    out: Annotated[Path, typer.Option(help="Folder for the adapter.")],
    name: Annotated[str | None, typer.Option(help="Name of the adapter. Default: that of OUT.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights of the encoder, if not at their usual place.")
    ] = None,
) -> None:
    """Import an adapter that PEFT alone trained on Sam3VisionModel or SamVisionEncoder."""
    with one_line_errors():
        from monai_lora_sam.adapters import import_peft
        from monai_lora_sam.encoders import build_encoder

        card = import_peft(folder, build_encoder(encoder, weights or True), out, name)
        console.print(f"[bold]{out}[/]: {card['name']} on {encoder}", soft_wrap=True)


@app.command(epilog="Example:\n\nmonai-lora-sam adapters export models/liver --out for_peft")
def export(
    folder: Annotated[Path, typer.Argument(help="An adapter's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for PEFT's two files.")],
) -> None:
    """Export an adapter so that PEFT alone loads it on Sam3VisionModel or SamVisionEncoder."""
    with one_line_errors():
        from monai_lora_sam.adapters import export_peft

        parents = export_peft(folder, out)
        console.print(
            f"[bold]{out}[/]: PEFT's adapter_config.json and adapter_model.safetensors", soft_wrap=True
        )
        if parents:
            console.print(
                f"Trained on top of {', '.join(parents)}: export and load these too.", soft_wrap=True
            )


#: Encoders of the table of sizes.
ENCODERS = ("medsam_lite", "sam3", "sam_vit_b")


@app.command(epilog="Example:\n\nmonai-lora-sam adapters budget --encoder sam3 --encoder sam_vit_b")
def budget(
    encoder: Annotated[list[str], typer.Option(help="Encoders by name.")] = list(ENCODERS),  # noqa: B006
    rank: Annotated[list[int], typer.Option(help="Ranks.")] = [4, 8, 16, 32, 64],  # noqa: B006
) -> None:
    """Print how many parameters and bytes an adapter has, without loading weights."""
    with one_line_errors():
        from monai_lora_sam.adapters import budget_table, format_budget

        print(format_budget(budget_table(encoder, rank)))
