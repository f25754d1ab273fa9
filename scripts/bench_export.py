"""Compare a stage in torch with its ONNX export in float32 and in 8 bits: Dice, time and bytes on the CPU.

Dice is the mean over images of MONAI's Dice of each class in the label. The ranges of 8 bits are those of
training images.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import torch
import typer
from monai.metrics import compute_dice
from rich.table import Table
from torch import Tensor, nn

from monai_lora_sam.cli.console import console, one_line_errors, write_json
from monai_lora_sam.data import read_datalist
from monai_lora_sam.export import export_stage
from monai_lora_sam.images import read_colour_image, read_label
from monai_lora_sam.prompting import find_objects, load_automatic

#: Training images by which the ranges of 8 bits are found.
CALIBRATION_IMAGES = 32


class OnnxNetwork(nn.Module):
    """Run an exported model in onnxruntime in place of a network."""

    def __init__(self, network: Any, model: Path) -> None:
        super().__init__()
        self.stack = network.stack
        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    def forward(self, image: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {"image": image.numpy()})[0])


def main(
    datalist: Annotated[Path, typer.Argument(help="Datalist with labels of the stage's classes.")],
    stage: Annotated[
        str, typer.Option(help="Stage that needs no prompt.", metavar="NAME|FOLDER")
    ] = "vessels",
    weights: Annotated[str | None, typer.Option(help="Weights of its encoder in place of its own.")] = None,
    split: Annotated[str, typer.Option(help="Split to score.")] = "validation",
    limit: Annotated[int, typer.Option(min=1, help="Most images to score.")] = 50,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures; - for standard output.")
    ] = None,
) -> None:
    """Measure what export and 8 bits cost."""
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        content = read_datalist(datalist)
        entries, ranges = content[split][:limit], content["training"][:CALIBRATION_IMAGES]
        if not entries or not ranges:
            raise ValueError(f"{datalist}: expected images under training and {split}, found none")
        images = Path(folder) / "images"
        images.mkdir()
        for number, entry in enumerate(ranges):
            source = Path(entry["image"])
            (images / f"{number}{source.suffix}").symlink_to(source.resolve())
        exported = Path(folder) / "exported"
        export_stage(stage, exported, int8=images, weights=weights)
        network, names = load_automatic(stage, weights=weights, device="cpu")
        network.mixed_precision = False
        bytes_of_torch = sum(p.numel() * p.element_size() for p in network.parameters())
        rows = [{"model": "torch, float32", **score(network, names, entries), "bytes": bytes_of_torch}]
        for title, file in (("ONNX, float32", "model.onnx"), ("ONNX, 8 bits", "model.int8.onnx")):
            path = exported / file
            found = score(OnnxNetwork(network, path), names, entries)
            rows.append({"model": title, **found, "bytes": path.stat().st_size})
        for row in rows:
            row["dice_lost"] = round(rows[0]["dice"] - row["dice"], 4)
    if json_file is not None:
        write_json({"stage": stage, "images": len(entries), "rows": rows}, json_file)
    if str(json_file) != "-":
        show(rows, len(entries))


def score(network: Any, names: Sequence[str], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return mean Dice and seconds an image, reading and scaling included."""
    dice, seconds = [], 0.0
    for entry in entries:
        start = time.perf_counter()
        objects = find_objects(network, read_colour_image(entry["image"]).pixels, names)
        seconds += time.perf_counter() - start
        label = read_label(entry["label"], max(2, len(names)))
        first = 1 if len(names) == 1 else names.index(objects[0].prompt.name)
        of_classes = [
            float(compute_dice(_batch(one.mask), _batch(label == value)))
            for value, one in enumerate(objects, first)
            if (label == value).any()
        ]
        dice += [np.mean(of_classes)] if of_classes else []
    return {"dice": round(float(np.mean(dice)), 4), "seconds_an_image": round(seconds / len(entries), 3)}


def _batch(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(mask, np.float32))[None, None]


def show(rows: Sequence[dict[str, Any]], images: int) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{images} images, CPU", title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
