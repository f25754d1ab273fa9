"""Train the lumen refiner that the package ships, on synthetic angiograms alone.

    python scripts/train_lumen.py                          # as shipped: 40 minutes on one core
    python scripts/train_lumen.py --quick --out /tmp/lumen # a minute, to see that it works

Phantoms like those of bench_qca.py, of another seed, go through both shipped vessel stages once; crops of picture,
map and exact label train the network. A killed run goes on where it stopped; equal seeds give equal weights on one
machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from monai.losses import DiceLoss
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    RandAdjustContrastd,
    RandCoarseDropout,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandRotate90d,
    RandRotated,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandWeightedCropd,
    RandZoomd,
)
from monai.utils import convert_to_tensor
from PIL import Image
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from monai_lora_sam import __version__
from monai_lora_sam.cli.console import one_line_errors
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.networks import LumenRefiner
from monai_lora_sam.coronary.pipeline import THRESHOLD, CoronaryPipeline, redraw
from monai_lora_sam.coronary.stages import (
    SHIPPED,
    SHIPPED_LUMEN,
    save_lumen_network,
    train_lumen_network,
    training_phantoms,
)
from monai_lora_sam.images import read_label

STAGES = ("vessels", "vessels_phantom")
WINDOW, CROP = 336, 224  # what is cut out, and what is left of it after zoom and rotation
LESION_SHARE = 0.4  # of the crops have their middle in a lesion; of the others half in a vessel


@one_line_errors()
def main(
    out: Annotated[Path, typer.Option(help="Where the refiner is written.")] = SHIPPED_LUMEN,
    work: Annotated[
        Path, typer.Option(help="Phantoms, stage 1's maps and the checkpoint; a resumed run needs it.")
    ] = Path("runs/train_lumen"),
    count: Annotated[int, typer.Option(help="Number of phantoms to train on.")] = 1200,
    held_out: Annotated[int, typer.Option(help="Further ones, for the scores in the card.")] = 60,
    steps: int = 4000,
    batch_size: int = 8,
    learning_rate: float = 0.002,
    phantom_seed: Annotated[int, typer.Option(help="Of the phantoms; bench_qca.py has others.")] = 21,
    seed: Annotated[int, typer.Option(help="Of the network and of the crops.")] = 0,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Train the lumen refiner on phantoms and write it with its card."""
    if quick:
        count, held_out, steps, batch_size = 4, 2, 2, 2
    torch.set_num_threads(1)
    started = time.perf_counter()
    folder = work / f"phantoms_{phantom_seed}"
    with Progress() as bars:
        bar = bars.add_task("phantoms", total=count + held_out)
        content = training_phantoms(
            folder, count, held_out, phantom_seed, lambda done, _: bars.update(bar, completed=done)
        )
        bar = bars.add_task("maps of stage 1", total=count + held_out)
        entries = content["training"] + content["validation"]
        write_maps(folder, entries, lambda: bars.advance(bar))
        bar = bars.add_task("steps", total=steps)
        arguments = {
            "count": count,
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "phantom_seed": phantom_seed,
            "seed": seed,
        }
        refiner = train(
            Crops(folder, content["training"]),
            work / "checkpoint.pt",
            arguments,
            lambda step, loss: bars.update(bar, completed=step, description=f"steps, loss {loss:.3f}"),
        )
    scores = held_out_dice(refiner, folder, content["validation"])
    save_lumen_network(
        refiner,
        out,
        metrics=scores,
        training_data="synthetic angiograms of this project",
        made_by="python scripts/train_lumen.py",
        package_version=__version__,
        arguments=arguments,
    )
    print(f"{out}: {json.dumps(scores)}, {time.perf_counter() - started:.0f} s in this call")


def write_maps(folder: Path, entries: list[dict[str, Any]], done: Callable[[], None]) -> None:
    """Write the map of every shipped vessel stage for each phantom, 0 to 255, where it is missing."""
    pipelines = {
        name: CoronaryPipeline(SHIPPED / name, lumen=None, gauge=None, device="cpu") for name in STAGES
    }
    for entry in entries:
        for name, pipeline in pipelines.items():
            path = map_path(folder, name, entry)
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                found = pipeline.probability(read_angiogram(folder / entry["image"]))
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                Image.fromarray(np.round(found * 255).astype(np.uint8)).save(temporary, format="PNG")
                temporary.replace(path)
        done()


def map_path(folder: Path, stage: str, entry: dict[str, Any]) -> Path:
    """Return where a stage's map of a phantom lies; another version of the stage has another folder."""
    digest = json.loads((SHIPPED / stage / "card.json").read_text())["digest"]
    return folder / "maps" / f"{stage}_{digest[:8]}" / f"{entry['case_id']}.png"


class Crops(Dataset):
    """Random crops of phantoms: image (1, H, W) and maps (4, H, W).

    The maps are stage 1's probability with holes in it, the exact label, the lesions' boxes, and stage 1's
    probability as it is.
    """

    def __init__(self, folder: Path, entries: list[dict[str, Any]]) -> None:
        self.folder, self.entries = folder, entries
        self.change = augmentation()
        # Stage 1's map often breaks off at a tight stenosis: the network has to bridge gaps in it.
        self.holes = RandCoarseDropout(
            holes=1,
            max_holes=4,
            spatial_size=(12, 12),
            max_spatial_size=(48, 48),
            fill_value=0.0,
            prob=0.5,
        )
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Make what follows depend on this seed alone."""
        self.holes.set_random_state(seed)
        self.change.set_random_state(seed)
        self.random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        entry = self.entries[index]
        image = self.read(self.folder / entry["image"])[None] / 255
        label = self.read(self.folder / entry["label"])
        stage = STAGES[self.random.choice(len(STAGES))]
        found = self.read(map_path(self.folder, stage, entry)) / 255
        lesions = torch.zeros_like(label)
        for lesion in entry["lesions"]:
            left, top, right, bottom = (round(value) for value in lesion["box_xyxy"])
            lesions[max(0, top - 4) : bottom + 5, max(0, left - 4) : right + 5] = 1
        narrowed = lesions * label
        anywhere = label * (0.6 / label.mean().clamp(min=1e-4)) + 0.4
        middle = narrowed if self.random.random() < LESION_SHARE and narrowed.any() else anywhere
        item = {
            "image": image,
            "maps": torch.stack([found, label, lesions, found]),
            "middle": middle[None],
        }
        crop = self.change(item)[0]
        maps = crop["maps"]
        maps[:1] = self.holes(maps[:1])
        # Plain tensors: MONAI's own follow every operation of the network in Python.
        image, maps = (convert_to_tensor(part, track_meta=False) for part in (crop["image"], maps))
        return image.clamp(0, 1), maps.clamp(0, 1)

    @staticmethod
    def read(path: Path) -> Tensor:
        with Image.open(path) as picture:
            return torch.from_numpy(np.array(picture)).float()


def augmentation() -> Compose:
    """Return what a crop may go through; labels are interpolated too, so that widths keep their fractions."""
    both = ("image", "maps")
    return Compose(
        [
            RandWeightedCropd(both, w_key="middle", spatial_size=(WINDOW, WINDOW), num_samples=1),
            # Angiograms have 512 to 1024 pixels a side, and fields of view of 15 to 30 cm.
            RandZoomd(
                both,
                prob=0.5,
                min_zoom=0.68,
                max_zoom=2.0,
                mode="bilinear",
                align_corners=False,
                keep_size=False,
            ),
            RandRotated(both, prob=0.3, range_x=0.4, mode="bilinear", padding_mode="reflection"),
            CenterSpatialCropd(both, roi_size=(CROP, CROP)),
            RandFlipd(both, prob=0.5, spatial_axis=0),
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandRotate90d(both, prob=0.5),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.6, 1.6)),
            RandScaleIntensityd("image", prob=0.3, factors=0.3),
            RandShiftIntensityd("image", prob=0.3, offsets=0.1),
            RandGaussianSmoothd("image", prob=0.15, sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2)),
            RandGaussianSharpend(
                "image",
                prob=0.15,
                sigma1_x=(0.5, 1.0),
                sigma1_y=(0.5, 1.0),
                sigma2_x=0.5,
                sigma2_y=0.5,
                alpha=(1.0, 5.0),
            ),
            RandGaussianNoised("image", prob=0.3, std=0.05),
        ]
    )


def loss_of(logits: Tensor, maps: Tensor) -> Tensor:
    """Return cross-entropy, more of it near vessels and in lesions, and a little Dice.

    The weights follow what the network is told or a whole box, not the label itself, lest the map lose its
    calibration: widths are integrals of it.
    """
    label, lesions, found = maps[:, 1:2], maps[:, 2:3], maps[:, 3:4]
    near = functional.max_pool2d((found > 0.1).float(), 13, 1, 6)
    weights = 1 + 3 * near + 4 * lesions
    entropy = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
    return (entropy * weights).sum() / weights.sum() + 0.2 * DiceLoss(sigmoid=True, batch=True)(logits, label)


def train(
    crops: Crops, checkpoint: Path, arguments: dict[str, Any], tell: Callable[[int, float], None]
) -> LumenRefiner:
    """Train a refiner, going on from the checkpoint if there is one of the same arguments."""
    with torch.random.fork_rng():
        torch.manual_seed(arguments["seed"])
        refiner = LumenRefiner()

    def loss_at(step: int) -> Tensor:
        crops.seed(arguments["seed"] + 1_000_003 + step)
        random = np.random.default_rng(arguments["seed"] + step)
        chosen = random.choice(len(crops), arguments["batch_size"], replace=False)
        items = [crops[int(index)] for index in chosen]
        image, maps = (torch.stack(part) for part in zip(*items, strict=True))
        return loss_of(refiner(image, maps[:, :1]), maps)

    train_lumen_network(refiner, loss_at, checkpoint, arguments, tell)
    return refiner


def held_out_dice(
    refiner: LumenRefiner, folder: Path, entries: list[dict[str, Any]]
) -> dict[str, dict[str, float]]:
    """Return the mean Dice on phantoms that were not trained on, of each stage's map and of the refined one."""
    scores: dict[str, dict[str, float]] = {}
    for name in STAGES:
        values = []
        for entry in entries:
            label = read_label(folder / entry["label"], classes=2) > 0
            pixels = read_angiogram(folder / entry["image"]).pixels
            found = Crops.read(map_path(folder, name, entry)).numpy() / 255
            maps = (found, redraw(refiner, pixels, found))
            values.append([_dice(one >= THRESHOLD, label) for one in maps])
        before, after = np.mean(values, axis=0).tolist()
        scores[name] = {"dice_of_stage": round(before, 4), "dice": round(after, 4)}
    return scores


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2.0 * float((one & other).sum()) / max(int(one.sum() + other.sum()), 1)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
