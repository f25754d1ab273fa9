"""Distil the student `mini` from LiteMedSAM.

    python scripts/train_mini.py DATA --out runs/mini                # hours on 2 cores
    python scripts/train_mini.py DATA --out /tmp/mini --quick        # minutes, to see that everything works

DATA is a folder with `arcade`, `cosmos` and `msd_hippocampus` in their published layouts. No label trains: images
of ARCADE and synthetic angiograms are prompted on a grid, images of COSMOS-1050K and slices of the hippocampus by
boxes and points on their objects, and the answers to match are the teacher's. Three tenths of the cases of
COSMOS-1050K and of the hippocampus are held out, and listed in `held_out_*.json` for `scripts/evaluate_prompts.py`.
Embeddings come first, then masks with the prompt in the loop. A killed run goes on where it stopped when the same
command is given again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from monai_lora_sam.coronary.data import prepare_arcade
from monai_lora_sam.coronary.phantom import prepare_phantoms
from monai_lora_sam.data import (
    SliceSettings,
    prepare_cosmos,
    prepare_decathlon,
    read_datalist,
    split_by_case,
    write_datalist,
)
from monai_lora_sam.workflows import run_bundle

BUNDLE = "minisam_distillation"
#: Shares of the cases of labelled data sets.
SHARES = {"training": 0.6, "validation": 0.1, "test": 0.3}
#: How often a data set counts in an epoch, so that ten slices of CT are not lost beside hundreds of angiograms.
COPIES = {"CT": 8, "MR": 8, "US": 3, "hippocampus": 1, "angiograms": 1}
SLICES = 5  # of each volume
#: Epochs and settings of the two phases.
PHASES: dict[str, dict[str, Any]] = {
    "features": {"epochs": 8, "learning_rate": 0.002, "val_interval": 2},
    # A step with masks costs several times one with embeddings.
    "prompts": {"epochs": 2, "learning_rate": 0.0005, "prompts_per_image": 1},
}


def main(
    data: Annotated[Path, typer.Argument(help="Folder with arcade/, cosmos/ and msd_hippocampus/.")],
    out: Annotated[Path, typer.Option(help="Folder of data, checkpoints and students.")] = Path("runs/mini"),
    angiograms: Annotated[int, typer.Option(help="Number of ARCADE's images.")] = 240,
    phantoms: Annotated[int, typer.Option(help="Number of synthetic angiograms.")] = 60,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Distil `mini` in two phases; the student is written into `prompts/best` below --out."""
    if quick:
        angiograms, phantoms = 4, 4
    datalists = prepare(data, out.resolve(), angiograms, phantoms)
    student: Path | None = None
    for phase, settings in PHASES.items():
        started = time.perf_counter()
        overrides: dict[str, Any] = {
            "dataset_dir": str(out.resolve() / "data"),
            "datalist_file": datalists,
            "output_dir": str(out.resolve() / phase),
            "phase": phase,
            "start_from": None if student is None else str(student),
            "feature_cache": True,
            "feature_cache_dir": str(out.resolve() / "embeddings"),
            "feature_variants": 2,
            "batch_size": 8,
            "float16": True,
            "patience": 1000,
            **settings,
        }
        if quick:
            overrides |= {"epochs": 1, "limit": 4, "batch_size": 2, "image_size": 128, "feature_variants": 1}
        run = run_bundle(BUNDLE, overrides=overrides)
        scores = run.parser.get_parsed_content("validate#evaluator").state.metrics
        student = out.resolve() / phase / "best"
        print(
            f"{phase}: {json.dumps({k: float(v) for k, v in scores.items()})}, {time.perf_counter() - started:.0f} s"
        )


def prepare(data: Path, out: Path, angiograms: int, phantoms: int) -> list[str]:
    """Write a datalist for each data set, and return them, each as often as it counts."""
    folder = out / "data"
    cosmos = read_datalist(prepare_cosmos(data / "cosmos", folder / "cosmos"))
    settings = SliceSettings(per_volume=SLICES, smallest=20)
    hippocampus = read_datalist(
        prepare_decathlon(data / "msd_hippocampus", folder / "hippocampus", settings=settings)
    )
    sets: dict[str, dict[str, list[dict[str, Any]]]] = {}
    of_modality: dict[str, list[dict[str, Any]]] = {}
    for entry in _all(cosmos):
        of_modality.setdefault(str(entry["modality"]), []).append(entry)
    for name, entries in {**of_modality, "hippocampus": _all(hippocampus)}.items():
        parts = split_by_case(entries, SHARES, 0)
        _write(out / f"held_out_{name}.json", name, {"test": parts["test"]})
        sets[name] = {part: parts[part] for part in ("training", "validation")}
    sets["angiograms"] = _angiograms(data, folder, angiograms, phantoms)
    return [
        str(_write(out / f"{name}.json", name, parts))
        for name, parts in sets.items()
        for _ in range(COPIES.get(name, 1))
    ]


def _angiograms(data: Path, folder: Path, count: int, phantoms: int) -> dict[str, list[dict[str, Any]]]:
    """Return ARCADE's images and synthetic ones without their labels."""
    arcade = read_datalist(prepare_arcade(data / "arcade", folder / "arcade", "vessels"))
    with Progress() as bars:
        bar = bars.add_task("phantoms", total=phantoms)
        drawn = prepare_phantoms(
            folder / "phantoms", phantoms, 3, 0.25, lambda done, _: bars.update(bar, completed=done)
        )
    synthetic = read_datalist(drawn)
    plain = {"image", "case_id", "pixel_hash"}
    return {
        part: [
            {key: value for key, value in entry.items() if key in plain}
            for entry in [*arcade[part][: count if part == "training" else count // 12], *synthetic[part]]
        ]
        for part in ("training", "validation")
    }


def _all(datalist: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry for part in ("training", "validation", "test") for entry in datalist[part] or []]


def _write(path: Path, name: str, splits: Mapping[str, Iterable[dict[str, Any]]]) -> Path:
    classes = ["background", "object"]
    return write_datalist(path, name=name, task="objects", class_names=classes, splits=dict(splits))


if __name__ == "__main__":
    typer.run(main)
