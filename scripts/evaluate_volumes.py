"""Score prompted segmentation of volumes on a folder of the Medical Segmentation Decathlon.

    python scripts/evaluate_volumes.py Task04_Hippocampus --out scores
    python scripts/evaluate_volumes.py Task04_Hippocampus --out scores --quick --json -

Each class of each volume is prompted by the tight box of its truth in the slice (last axis) where it is largest, and
nothing else. Two ways go on from there: `until empty` stops in each direction at the first slice without a mask;
`range` is told the first and last slice of the object, as LiteMedSAM's authors are, and segments all between.
Scores are in three dimensions; intervals are 95 % by bootstrap over volumes.
"""

from __future__ import annotations

import csv
import io
import time
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from PIL import Image, ImageDraw
from rich import box
from rich.table import Table
from torch import Tensor

from monai_lora_sam.cli import check_json_file, console_beside, one_line_errors, progress, write_json
from monai_lora_sam.data import read_decathlon
from monai_lora_sam.files import atomic_file, atomic_write, check_output_folder
from monai_lora_sam.images import (
    INTENSITY_PRESETS,
    read_label_volume,
    read_volume,
    to_unit_by_preset,
    write_label_volume,
)
from monai_lora_sam.inferers import SlicePropagationInferer
from monai_lora_sam.metrics import mean_with_interval
from monai_lora_sam.networks import PromptableSegmenter, PromptedMasks, build_promptable, choose_device
from monai_lora_sam.report import overlay

QUICK = 3
WAYS = ("until empty", "range")
SCORES = ("dice", "surface_dice", "hd95_mm")
TRUTH, FOUND = (60, 220, 90), (255, 212, 0)
EXAMPLES = """Example:

python scripts/evaluate_volumes.py Task04_Hippocampus --out scores --json scores/scores.json
"""


@one_line_errors()
def main(
    folder: Annotated[Path, typer.Argument(help="Holds dataset.json, imagesTr and labelsTr.")],
    out: Annotated[Path, typer.Option(help="Folder for scores.csv, sheet.png and the masks.")],
    encoder: Annotated[str, typer.Option(help="Name of the encoder, with its own weights.")] = "medsam_lite",
    preset: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(INTENSITY_PRESETS)}; default: ct_abdomen for CT, else percentiles."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Pixels of the slice around the last mask; default: 3 of the encoder's square."),
    ] = None,
    tolerance_mm: Annotated[float, typer.Option(help="Of the surface Dice.")] = 1.0,
    mixed_precision: Annotated[bool, typer.Option(help="Run the encoder in bfloat16.")] = True,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; default: a GPU where there is one.")
    ] = None,
    way: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(WAYS)}; repeatable. Default: both.")
    ] = None,
    quick: Annotated[bool, typer.Option(help=f"The first {QUICK} volumes alone.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the figures; - for standard output.")
    ] = None,
) -> None:
    """Score prompted segmentation of volumes, slice by slice from one box for each object."""
    check_output_folder(out)
    check_json_file(json_file)
    ways = [one for one in WAYS if one in way] if way else list(WAYS)
    if unknown := set(way or ()) - set(WAYS):
        raise ValueError(f"--way: expected {' or '.join(WAYS)}, found {', '.join(sorted(unknown))}")
    task = read_decathlon(folder)
    entries = [(volume.image, volume.label) for volume in task.volumes]
    classes = dict(enumerate(task.class_names[1:], 1))
    preset = preset or ("ct_abdomen" if task.modality(None) == "CT" else "percentiles")
    network = build_promptable(encoder, mixed_precision=mixed_precision).to(choose_device(device))
    # Convolutions of most encoders run faster with the channels last, on CPU as on CUDA.
    cached = CachedEmbeddings(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    started = time.perf_counter()
    chosen = entries[:QUICK] if quick else entries
    with progress("volumes") as bars:
        for image, label in bars.track(chosen):
            try:
                rows += score_volume(cached, image, label, classes, ways, preset, margin, tolerance_mm, out)
            except (ValueError, OSError) as error:
                failures.append(str(error))
            write_csv(out / "scores.csv", rows)
    minutes = (time.perf_counter() - started) / 60
    console = console_beside(json_file)
    if rows:
        summary = summarise(rows)
        console.print(as_table(summary, f"{encoder}, {len(chosen)} volumes, {minutes:.1f} min"))
        write_sheet(out / "sheet.png", rows, preset, out)
        console.print(f"Per volume: {out / 'scores.csv'}. Pictures: {out / 'sheet.png'}.", soft_wrap=True)
        if json_file is not None:
            settings = {"encoder": encoder, "preset": preset, "margin": margin, "tolerance_mm": tolerance_mm}
            write_json(
                {
                    "settings": settings,
                    "minutes": round(minutes, 2),
                    "results": summary,
                    "failures": failures,
                },
                json_file,
            )
    if failures:
        raise ValueError(f"{len(failures)} of {len(chosen)} volumes failed:\n" + "\n".join(failures))


class CachedEmbeddings:
    """Keep the embeddings of the last slices, since classes and ways of propagation share them.

    Args:
        network: the network; its parameters must not change.
        capacity: slices whose embeddings are kept.
    """

    def __init__(self, network: PromptableSegmenter, capacity: int = 256) -> None:
        self.network, self.stack, self.capacity = network, network.stack, capacity
        self.encoded = 0
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    def __call__(self, image: Tensor, multimask: bool = False, **prompts: Tensor) -> PromptedMasks:
        key = image.cpu().numpy().tobytes()
        if key not in self._kept:
            self._kept[key] = self.network.encode(image)
            self.encoded += 1
            if len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
        return self.network.decode(self._kept[key], **prompts, multimask=multimask)


def score_volume(
    network: CachedEmbeddings,
    image: Path,
    label: Path,
    classes: dict[int, str],
    ways: list[str],
    preset: str,
    margin: float | None,
    tolerance_mm: float,
    out: Path,
) -> list[dict[str, Any]]:
    """Return a row of scores for each class and way, and write the masks below `out`."""
    volume, truth = read_volume(image), read_label_volume(label)
    if truth.pixels.shape != volume.pixels.shape:
        raise ValueError(f"{label}: expected the shape {volume.pixels.shape}, found {truth.pixels.shape}")
    pixels = torch.from_numpy(to_unit_by_preset(volume.pixels, preset))[None, None]
    inferer = SlicePropagationInferer(margin, sw_device=next(network.network.parameters()).device)
    rows = []
    for way in ways:
        labels = np.zeros(truth.pixels.shape, np.uint8)
        for value, name in classes.items():
            wanted = truth.pixels == value
            if not wanted.any():
                continue
            started = time.perf_counter()
            there = np.flatnonzero(wanted.any((0, 1)))
            index = int(wanted.sum((0, 1)).argmax())
            slices = (int(there[0]), int(there[-1])) if way == "range" else None
            row: dict[str, Any] = {
                "volume": image.name,
                "class": name,
                "value": value,
                "way": way,
                "slice": index,
                "first": int(there[0]),
                "last": int(there[-1]),
            }
            try:
                logits = inferer(
                    pixels, network, slice_index=index, boxes=tight_box(wanted[..., index]), slices=slices
                )
                found = (logits[0, 0] > 0).numpy()
            except ValueError as error:  # no mask in the prompted slice: nothing is found
                if "expected a mask for every prompt" not in str(error):
                    raise
                found = np.zeros_like(wanted)
            marked = np.flatnonzero(found.any((0, 1)))
            row |= {"found_first": int(marked[0]) if marked.size else None}
            row |= {"found_last": int(marked[-1]) if marked.size else None}
            row |= scores(found, wanted, volume.spacing_mm, tolerance_mm)
            row["prompted_slice_dice"] = dice(found[..., index], wanted[..., index])
            rows.append({**row, "seconds": round(time.perf_counter() - started, 2), "image": str(image)})
            labels[found] = value
        write_label_volume(mask_file(out, way, image), labels, volume)
        write_label_volume(mask_file(out, "truth", image), truth.pixels, volume)
    return rows


def mask_file(out: Path, way: str, image: Path) -> Path:
    """Return where the masks of a volume are written."""
    return out / way.replace(" ", "_") / image.name


def tight_box(mask: np.ndarray) -> Tensor:
    """Return the box (1, 4) around a mask (H, W): x0, y0, x1, y1 along pixels' edges."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], dtype=torch.float32)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Return MONAI's Dice of two masks of any dimension."""
    pair = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (found, truth))
    return float(compute_dice(*pair))


def scores(
    found: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], tolerance_mm: float
) -> dict[str, Any]:
    """Return MONAI's Dice, surface Dice and 95 % Hausdorff distance of two masks (H, W, D)."""
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (found, truth)]
    if not found.any():  # no surface: no distance, and nothing of the truth's surface is met
        return {"dice": 0.0, "surface_dice": 0.0, "hd95_mm": None}
    surface = compute_surface_dice(*pair, [tolerance_mm], include_background=True, spacing=spacing)
    distance = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
    return {"dice": dice(found, truth), "surface_dice": float(surface), "hd95_mm": float(distance)}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean with interval and median of each score, for each way and class and for all classes."""
    names = list(dict.fromkeys(row["class"] for row in rows))
    summary = []
    for way in dict.fromkeys(row["way"] for row in rows):
        for name in [*names, "all"]:
            chosen = [row for row in rows if row["way"] == way and name in (row["class"], "all")]
            entry: dict[str, Any] = {"way": way, "class": name}
            for score in (*SCORES, "prompted_slice_dice"):
                values = by_volume(chosen, score)
                known = values[~np.isnan(values)]
                median = float(np.median(known)) if known.size else None
                entry[score] = {**mean_with_interval(values), "median": median}
            entry["nothing_found"] = sum(row["hd95_mm"] is None for row in chosen)
            summary.append(entry)
    return summary


def by_volume(rows: list[dict[str, Any]], score: str) -> np.ndarray:
    """Return one value for each volume, the mean of its classes, since classes of one volume are not independent."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["volume"], []).append(np.nan if row[score] is None else row[score])
    return np.array(
        [
            np.mean(known) if (known := [v for v in of if not np.isnan(v)]) else np.nan
            for of in values.values()
        ]
    )


def as_table(summary: list[dict[str, Any]], title: str) -> Table:
    """Return the figures for the console."""
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in ("way", "class", "Dice", "95 %", "median", "surface", "HD95", "slice"):
        table.add_column(column, overflow="fold")
    for row in summary:
        interval = row["dice"]
        cells = [f"{interval['mean']:.3f}", f"{interval['low']:.3f} – {interval['high']:.3f}"]
        cells.append(f"{interval['median']:.3f}")
        for score in ("surface_dice", "hd95_mm", "prompted_slice_dice"):
            mean = row[score]["mean"]
            cells.append("–" if mean is None else f"{mean:.3f}" if score != "hd95_mm" else f"{mean:.2f}")
        table.add_row(row["way"], row["class"], *cells)
    return table


def write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a row for each volume, class and way."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, [key for key in rows[0] if key != "image"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(file, text.getvalue())


def write_sheet(file: Path, rows: list[dict[str, Any]], preset: str, out: Path, height: int = 220) -> None:
    """Draw the best, the median and the worst volume of each way: truth in green, masks in yellow."""
    strips = []
    for way in dict.fromkeys(row["way"] for row in rows):
        chosen = [row for row in rows if row["way"] == way]
        order = sorted(range(len(chosen)), key=lambda number: -chosen[number]["dice"])
        places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
        for name, place in places.items():
            row = chosen[place]
            words = f"{way}, {name}: {row['volume']}, {row['class']}, Dice {row['dice']:.3f}"
            strips.append((words, _slices(row, way, preset, out, height)))
    sheet = Image.new("RGB", (max(strip.width for _, strip in strips), len(strips) * (height + 20)))
    draw = ImageDraw.Draw(sheet)
    for index, (words, strip) in enumerate(strips):
        draw.text((4, index * (height + 20) + 4), words, fill="white")
        sheet.paste(strip, (0, index * (height + 20) + 20))
    with atomic_file(file) as temporary:
        sheet.save(temporary, format="PNG")


def _slices(row: dict[str, Any], way: str, preset: str, out: Path, height: int) -> Image.Image:
    """Return five slices side by side, evenly from the object's first to its last."""
    image = Path(row["image"])
    pixels = to_unit_by_preset(read_volume(image).pixels, preset)
    truth, found = (
        read_label_volume(mask_file(out, kind, image)).pixels == row["value"] for kind in ("truth", way)
    )
    enlarged = max(1, height // pixels.shape[0])
    pictures = []
    for index in np.linspace(row["first"], row["last"], 5).round().astype(int):
        grey, *masks = (np.kron(a[..., index], np.ones((enlarged, enlarged))) for a in (pixels, truth, found))
        first, second = (
            overlay(grey, mask > 0, colour) for mask, colour in zip(masks, (TRUTH, FOUND), strict=True)
        )
        drawn = np.where((second == FOUND).all(-1, keepdims=True), second, first)
        pictures.append(Image.fromarray(drawn.astype(np.uint8)))
    strip = Image.new("RGB", (sum(p.width + 4 for p in pictures), height))
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + 4
    return strip


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(epilog=EXAMPLES)(main)
    app()
