"""Train the lumen gauge that the package ships, on synthetic angiograms alone.

    python scripts/train_gauge.py                          # as shipped: an hour on one core
    python scripts/train_gauge.py --quick --out /tmp/gauge # a minute, to see that it works

Phantoms go through both shipped vessel stages and the refiner; each vessel that the quantitative analysis follows is
laid out straight, with the true diameters beside it. They are others than those that trained the refiner, whose maps
would be better on its own. A killed run goes on where it stopped; equal seeds give equal weights on one machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import Progress
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from torch import Tensor

from monai_lora_sam import __version__
from monai_lora_sam.cli.console import one_line_errors
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.networks import LumenGauge
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, straighten
from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.stages import (
    SHIPPED,
    SHIPPED_GAUGE,
    SHIPPED_LUMEN,
    save_lumen_network,
    train_lumen_network,
    training_phantoms,
)

STAGES = ("vessels", "vessels_phantom")
ROWS = 160  # of a crop: twenty widths
LEAST_ROWS = 16  # with a known diameter; a shorter vessel is left out
LESION_SHARE = 0.5  # of the crops hold a stenosis
NARROWED = 0.85  # of the reference: what such a crop is chosen by
CLOSED_SHARE, HIDDEN_SHARE = 0.05, 0.3  # of the crops are closed over a stretch, or have a hole in the map
LESION_WEIGHT, LESION_REACH = 30.0, 12  # by depth; and rows beside a stenosis that count more, too
BREATHING_SHARE, BREATHING, BREATH = 0.7, 0.3, 8  # of the crops; how much, as a logarithm; over so many rows
TRUTH_STEP_PX = 0.5
NEAR_PX = 2.0  # from a true centreline that a line may run, where half the vessel's width is less
ALONG_PX = 1.5  # from the nearest true point, along the vessel: beyond, it has ended
SKEWED = 0.5  # sine of the angle between a line and the true centreline, at most


@dataclass(frozen=True, eq=False)
class TrueStrip:
    """Hold a vessel laid out straight and what is true of each row; NaN where nothing is known.

    Attributes:
        grey: (L, T) float16; probability: (L, T) uint8, 0..255.
        width_px: the vessel's usual width.
        diameter_px, offset_px: (L,) of the lumen, and how far its middle lies beside the strip's.
        relative: (L,) diameter over that without stenosis.
    """

    grey: np.ndarray
    probability: np.ndarray
    width_px: float
    diameter_px: np.ndarray
    offset_px: np.ndarray
    relative: np.ndarray

    @property
    def known(self) -> np.ndarray:
        return np.isfinite(self.diameter_px)


@one_line_errors()
def main(
    out: Annotated[Path, typer.Option(help="Where the gauge is written.")] = SHIPPED_GAUGE,
    work: Annotated[
        Path, typer.Option(help="Phantoms, strips and the checkpoint; a resumed run needs it.")
    ] = Path("runs/train_gauge"),
    count: Annotated[int, typer.Option(help="Number of phantoms to train on.")] = 1200,
    held_out: Annotated[int, typer.Option(help="Further ones, for the scores in the card.")] = 60,
    steps: int = 10000,
    batch_size: int = 24,
    learning_rate: float = 0.002,
    phantom_seed: Annotated[int, typer.Option(help="Of the phantoms; bench_qca.py has others.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the network and of the crops.")] = 0,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Train the lumen gauge on phantoms and write it with its card."""
    if quick:
        count, held_out, steps, batch_size = 4, 2, 4, 4
    torch.set_num_threads(1)
    started = time.perf_counter()
    folder = work / f"phantoms_{phantom_seed}"
    with Progress() as bars:
        bar = bars.add_task("phantoms", total=count + held_out)
        content = training_phantoms(
            folder, count, held_out, phantom_seed, lambda done, _: bars.update(bar, completed=done)
        )
        bar = bars.add_task("strips", total=count + held_out)
        entries = content["training"] + content["validation"]
        write_strips(folder, entries, lambda: bars.advance(bar))
        bar = bars.add_task("steps", total=steps)
        arguments = {
            "count": count,
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "phantom_seed": phantom_seed,
            "seed": seed,
        }
        gauge = train(
            read_strips(folder, content["training"]),
            work / "checkpoint.pt",
            arguments,
            lambda step, error: bars.update(bar, completed=step, description=f"steps, error {error:.3f}"),
        )
    scores = held_out_errors(gauge, read_strips(folder, content["validation"]))
    save_lumen_network(
        gauge,
        out,
        metrics=scores,
        training_data="synthetic angiograms of this project",
        made_by="python scripts/train_gauge.py",
        package_version=__version__,
        arguments=arguments,
    )
    print(f"{out}: {json.dumps(scores)}, {time.perf_counter() - started:.0f} s in this call")


def write_strips(folder: Path, entries: list[dict[str, Any]], done: Callable[[], None]) -> None:
    """Write the strips of every shipped vessel stage for each phantom, where they are missing."""
    pipelines = [CoronaryPipeline(SHIPPED / name, gauge=None, device="cpu") for name in STAGES]
    for entry in entries:
        path = strips_path(folder, entry)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            truth = Truth(json.loads((folder / entry["truth"]).read_text()))
            pixels = read_angiogram(folder / entry["image"])
            strips = [strip for pipeline in pipelines for strip in strips_of(pipeline, pixels, truth)]
            arrays = {
                f"{name}_{number}": getattr(strip, name)
                for number, strip in enumerate(strips)
                for name in TrueStrip.__dataclass_fields__
            }
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)
            temporary.replace(path)
        done()


def strips_path(folder: Path, entry: dict[str, Any]) -> Path:
    """Return where a phantom's strips lie; other versions of stages or refiner have another folder."""
    cards = [SHIPPED / name / "card.json" for name in STAGES] + [SHIPPED_LUMEN / "card.json"]
    digests = "_".join(json.loads(card.read_text())["digest"][:8] for card in cards)
    return folder / f"strips_{digests}" / f"{entry['case_id']}.npz"


def read_strips(folder: Path, entries: list[dict[str, Any]]) -> list[TrueStrip]:
    """Read the strips of these phantoms."""
    strips = []
    for entry in entries:
        with np.load(strips_path(folder, entry), allow_pickle=False) as arrays:
            names = list(TrueStrip.__dataclass_fields__)
            for number in range(len(arrays.files) // len(names)):
                strips.append(TrueStrip(**{name: arrays[f"{name}_{number}"] for name in names}))
    return strips


def strips_of(pipeline: CoronaryPipeline, angiogram: Any, truth: Truth) -> list[TrueStrip]:
    """Return the vessels of an angiogram as the quantitative analysis follows them, with what is true of them."""
    probability = pipeline.probability(angiogram)
    strips: list[TrueStrip] = []

    def take(
        image: np.ndarray, points: np.ndarray, across: np.ndarray, width_px: np.ndarray, trusted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        strip = straighten(image, probability, points, across, width_px, trusted)
        number = np.arange(len(points))
        line, normals = (
            np.column_stack([np.interp(strip.at, number, one[:, axis]) for axis in (0, 1)])
            for one in (points, across)
        )
        diameter, offset, relative = truth.along(line, normals)
        if np.isfinite(diameter).sum() >= LEAST_ROWS:
            grey, chance = (
                strip.values[0].astype(np.float16),
                np.round(255 * strip.values[1]).astype(np.uint8),
            )
            strips.append(TrueStrip(grey, chance, np.float32(strip.width_px), diameter, offset, relative))
        return width_px, np.zeros_like(width_px), 0.0

    measure(probability, image=angiogram.pixels, find_lumen=take)
    return strips


class Truth:
    """Know the true diameters of a phantom near its named segments.

    Args:
        truth: as the phantom's JSON file holds it.
    """

    def __init__(self, truth: dict[str, Any]) -> None:
        parts = [part for line in truth["centrelines"] if (part := _resampled(line)) is not None]
        self.points, self.tangents, self.diameter_px, self.relative = (
            np.concatenate(arrays) for arrays in zip(*parts, strict=True)
        )
        self.tree = cKDTree(self.points)

    def along(self, line: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return diameter, offset and diameter over reference at each point (N, 2) of a line; NaN where unknown."""
        nearest = self.tree.query(line)[1]
        beside = self.points[nearest] - line
        offset = (beside * normals).sum(axis=1)
        further = np.abs(beside[:, 0] * normals[:, 1] - beside[:, 1] * normals[:, 0])
        known = np.abs(offset) < np.maximum(self.diameter_px[nearest] / 2, NEAR_PX)
        known &= (further < ALONG_PX) & (np.abs((self.tangents[nearest] * normals).sum(axis=1)) < SKEWED)
        found = (self.diameter_px[nearest], offset, self.relative[nearest])
        diameter, offset, relative = (np.where(known, one, np.nan).astype(np.float32) for one in found)
        return diameter, offset, relative


def _resampled(line: dict[str, Any]) -> tuple[np.ndarray, ...] | None:
    points = np.array(line["points_xy_px"])[:, ::-1]
    arc = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    if arc[-1] < 4 * TRUTH_STEP_PX:
        return None
    wanted = np.arange(0.0, arc[-1], TRUTH_STEP_PX)
    fine = np.column_stack([np.interp(wanted, arc, points[:, axis]) for axis in (0, 1)])
    tangents = np.gradient(fine, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9)
    relative = np.array(line["diameter_mm"]) / np.array(line["reference_diameter_mm"])
    return fine, tangents, np.interp(wanted, arc, line["diameter_px"]), np.interp(wanted, arc, relative)


class Crops:
    """Random crops of strips: values (3, L, T), and diameter, offset (in widths) and weight of each row (3, L)."""

    def __init__(self, strips: list[TrueStrip]) -> None:
        self.strips = strips
        rows = np.array([strip.known.sum() for strip in strips], dtype=float)
        self.chance = rows / rows.sum()
        self.narrowed = [
            number for number, strip in enumerate(strips) if (strip.relative[strip.known] < NARROWED).any()
        ]

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return one crop; a strip that is shorter is padded."""
        if self.narrowed and random.random() < LESION_SHARE:
            strip = self.strips[random.choice(self.narrowed)]
            middle = int(random.choice(np.flatnonzero(strip.known & (strip.relative < NARROWED))))
        else:
            strip = self.strips[random.choice(len(self.strips), p=self.chance)]
            middle = int(random.integers(len(strip.known)))
        count = len(strip.known)
        least = -(ROWS // 4)
        first = int(np.clip(middle - random.integers(ROWS), least, max(count - ROWS - least, least)))
        rows = np.arange(first, first + ROWS)
        inside, rows = (rows >= 0) & (rows < count), rows.clip(0, count - 1)
        grey, chance = strip.grey[rows].astype(np.float32), strip.probability[rows].astype(np.float32) / 255
        grey[~inside], chance[~inside] = 0.0, 0.0
        known = inside & strip.known[rows]
        diameter, offset = (
            np.where(known, one[rows], 0.0) / strip.width_px for one in (strip.diameter_px, strip.offset_px)
        )
        depth = np.where(known, 1 - strip.relative[rows], 0.0)
        if random.random() < CLOSED_SHARE:
            self.close(grey, chance, diameter, offset, depth, random)
        if random.random() < BREATHING_SHARE:
            chance = self.breathe(chance, random)
        if random.random() < HIDDEN_SHARE:
            hidden = slice(begin := int(random.integers(ROWS)), begin + int(random.integers(6, 40)))
            chance[hidden] *= random.choice([0.0, 0.3])
        if random.random() < 0.5:
            grey *= random.uniform(0.8, 1.2)
        if random.random() < 0.3:
            grey += random.normal(0, random.uniform(0, 0.25), grey.shape)
        weight = known * weights(depth)
        values = np.stack([grey, chance, np.full_like(grey, np.log(strip.width_px))])
        truth = np.stack([diameter, offset, weight])
        if random.random() < 0.5:
            values, truth = values[:, ::-1], truth[:, ::-1]
        if random.random() < 0.5:
            values, truth = values[:, :, ::-1], truth * np.array([1, -1, 1])[:, None]
        return values.astype(np.float32), truth.astype(np.float32)

    @staticmethod
    def breathe(chance: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Widen and narrow the map along the vessel: the grey values have to say how wide it is."""
        knots = random.normal(0, BREATHING, ROWS // BREATH + 2)
        factor = np.exp(np.interp(np.arange(ROWS), BREATH * np.arange(len(knots)), knots))
        middle = (chance.shape[1] - 1) / 2
        columns = middle + (np.arange(chance.shape[1]) - middle) / factor[:, None]
        rows = np.broadcast_to(np.arange(ROWS)[:, None], columns.shape)
        return map_coordinates(chance, np.stack([rows, columns]), order=1, mode="nearest")

    @staticmethod
    def close(
        grey: np.ndarray,
        chance: np.ndarray,
        diameter: np.ndarray,
        offset: np.ndarray,
        depth: np.ndarray,
        random: np.random.Generator,
    ) -> None:
        """Put background in place of the vessel over some rows: phantoms have no total occlusions."""
        begin = int(random.integers(ROWS - 40))
        rows = slice(begin, begin + int(random.integers(6, 40)))
        quarter = grey.shape[1] // 4
        inner = slice(quarter, grey.shape[1] - quarter)
        background = np.concatenate([grey[rows, :quarter], grey[rows, -quarter:]], axis=1)
        width = inner.stop - inner.start
        grey[rows, inner] = np.pad(background, ((0, 0), (0, width)), mode="reflect")[:, -width:]
        chance[rows] = 0.0
        diameter[rows], offset[rows], depth[rows] = 0.0, 0.0, 0.5


def weights(depth: np.ndarray) -> np.ndarray:
    """Return what each row counts for: more around stenoses, the more the deeper, since they are rare."""
    narrowed = depth > 0.03
    near = np.convolve(narrowed, np.ones(2 * LESION_REACH + 1), "same") > 0
    return 1 + 2 * near + LESION_WEIGHT * depth * narrowed


def loss_of(read: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute error of the diameter, weighted, and a little of the offset's."""
    diameter, offset, weight = truth.unbind(dim=1)
    known = (weight > 0).float()
    of_diameter = ((read[:, 0] - diameter).abs() * weight).sum() / weight.sum().clamp(min=1)
    return of_diameter + 0.3 * ((read[:, 1] - offset).abs() * known).sum() / known.sum().clamp(min=1)


def train(
    strips: list[TrueStrip], checkpoint: Path, arguments: dict[str, Any], tell: Callable[[int, float], None]
) -> LumenGauge:
    """Train a gauge, going on from the checkpoint if there is one of the same arguments."""
    crops = Crops(strips)
    with torch.random.fork_rng():
        torch.manual_seed(arguments["seed"])
        gauge = LumenGauge()

    def loss_at(step: int) -> Tensor:
        random = np.random.default_rng((arguments["seed"], step))
        drawn = [crops.draw(random) for _ in range(arguments["batch_size"])]
        values, truth = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        return loss_of(gauge(values), truth)

    train_lumen_network(gauge, loss_at, checkpoint, arguments, tell)
    return gauge


def held_out_errors(gauge: LumenGauge, strips: list[TrueStrip]) -> dict[str, float]:
    """Return the mean absolute error of the diameter, over the vessel's width, on phantoms not trained on."""
    everywhere, narrowed = [], []
    for strip in strips:
        values = np.stack(
            [
                strip.grey.astype(np.float32),
                strip.probability.astype(np.float32) / 255,
                np.full(strip.grey.shape, np.log(strip.width_px), np.float32),
            ]
        )
        with torch.inference_mode():
            read = gauge(torch.from_numpy(values)[None])[0, 0].numpy()
        error = np.abs(read - strip.diameter_px / strip.width_px)
        everywhere.append(error[strip.known])
        narrowed.append(error[strip.known & (strip.relative < NARROWED)])
    return {
        "error": round(float(np.concatenate(everywhere).mean()), 4),
        "error_in_stenoses": round(float(np.concatenate(narrowed).mean()), 4),
    }


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
