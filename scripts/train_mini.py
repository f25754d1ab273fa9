"""Distil the shipped student `mini` from LiteMedSAM.

    python scripts/train_mini.py DATA                                    # about an hour of one core, then scores
    python scripts/train_mini.py DATA --quick --out /tmp/mini --work /tmp/work     # minutes, to see that it works

DATA is a folder with `arcade`, `cosmos` and `msd_hippocampus` in their published layouts. No label trains: images
of ARCADE and synthetic angiograms, of COSMOS-1050K and slices of the hippocampus are shown to teacher and student, and
the embedding to match is the teacher's. Three tenths of the cases of COSMOS-1050K and of the hippocampus are held out.
Teacher and student are scored there by tight box, and the card of the student says both scores. A killed run goes on
where it stopped when the same command is given again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress

from monai_lora_sam.adapters import read_card
from monai_lora_sam.cli import one_line_errors
from monai_lora_sam.coronary.data import prepare_arcade
from monai_lora_sam.coronary.phantom import prepare_phantoms
from monai_lora_sam.data import labelled_sets, read_datalist, write_datalist
from monai_lora_sam.distillation import new_distillation, save_student
from monai_lora_sam.evaluation import evaluate_prompts
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import PromptableSegmenter, build_promptable
from monai_lora_sam.workflows import run_bundle

BUNDLE = "minisam_distillation"
ASSETS = Path(__file__).resolve().parents[1] / "monai_lora_sam" / "assets" / "mini"
TRAINING_DATA = (
    "unlabelled images of ARCADE (doi 10.1038/s41597-023-02871-z), COSMOS-1050K's layout of public CT, MR and "
    "ultrasound, and the Decathlon's hippocampus; synthetic angiograms of this project"
)
#: How often a data set counts in an epoch, so that ten slices of CT are not lost beside hundreds of angiograms.
COPIES = {"CT": 8, "MR": 8, "US": 3, "hippocampus": 1, "angiograms": 1}
#: The training. The finest levels, which heads of vessels read, stay those of ImageNet, and the others move slowly, so
#: that adapters for structures that the teacher knows little of start from ImageNet's features.
SETTINGS: dict[str, Any] = {
    "phase": "features",
    "epochs": 5,
    "learning_rate": 0.002,
    "base_learning_rate": 0.0004,
    "frozen_blocks": 3,
    "batch_size": 8,
    "val_interval": 5,
    "patience": 1000,
    "feature_cache": True,
    "feature_variants": 0,
    "float16": True,
}


@one_line_errors()
def main(
    data: Annotated[Path, typer.Argument(help="Folder with arcade/, cosmos/ and msd_hippocampus/.")],
    out: Annotated[Path, typer.Option(help="Folder of the student; replaced.")] = ASSETS,
    work: Annotated[Path, typer.Option(help="Folder of data, embeddings and checkpoints.")] = Path(
        "runs/mini"
    ),
    angiograms: Annotated[int, typer.Option(help="Number of ARCADE's images.")] = 240,
    phantoms: Annotated[int, typer.Option(help="Number of synthetic angiograms.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the training; the held-out cases are the same.")] = 0,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Distil `mini`, compare it with its teacher on held-out images, and write it with a card."""
    work = work.resolve()
    settings: dict[str, Any] = {**SETTINGS, "seed": seed}
    if quick:
        angiograms, phantoms = 4, 4
        settings |= {"epochs": 1, "val_interval": 1, "limit": 4, "batch_size": 2, "image_size": 128}
    places = {
        "dataset_dir": str(work / "data"),
        "datalist_file": prepare(data, work, angiograms, phantoms),
        "output_dir": str(work / "student"),
        "feature_cache_dir": str(work / "embeddings"),
    }
    run_bundle(BUNDLE, overrides={**settings, **places})
    trained = work / "student" / "last"
    scores = compare(trained, work, 2 if quick else None)
    history = read_history(work / "student" / "history.jsonl")
    metrics = {key: history[-1][key] for key in ("val_dice", "val_unexplained")}
    write_student(trained, out, metrics, scores, settings)
    print(json.dumps({**metrics, **scores}, indent=1))
    print(out)


def compare(student: Path, work: Path, limit: int | None) -> dict[str, dict[str, float]]:
    """Return the mean Dice of teacher and student by tight box on each held-out set, and the number of objects."""
    networks: dict[str, PromptableSegmenter] = {
        "teacher": build_promptable("medsam_lite"),
        "student": PromptableSegmenter.from_pretrained(student),
    }
    scores: dict[str, dict[str, float]] = {}
    for path in sorted(work.glob("held_out_*.json")):
        held_out = read_datalist(path)
        entries = held_out["test"][:limit]
        name = path.stem.removeprefix("held_out_")
        scores[name] = {}
        for role, network in networks.items():
            place = work / "scores" / student.parent.name / role / name
            rows = evaluate_prompts(network, entries, held_out["class_names"], place, modes=["box"]).rows
            dice = [float(row["dice"]) for row in rows if row["choice"] == "single"]
            scores[name] |= {"objects": len(dice), role: round(sum(dice) / len(dice), 4)}
    return scores


def write_student(
    trained: Path,
    out: Path,
    metrics: dict[str, float],
    scores: dict[str, dict[str, float]],
    settings: dict[str, Any],
) -> None:
    """Write the trained student again, with what a user of it has to know in its card."""
    card = read_card(trained)
    pair = new_distillation(
        student_weights=trained, image_size=card["input_size"], start_from=trained, mixed_precision=False
    )
    save_student(
        pair,
        out,
        half=True,
        task="prompts",
        class_names=[],
        modality="",
        training_data=TRAINING_DATA,
        metrics=metrics,
        box_dice=scores,
        settings={key: value for key, value in settings.items() if key != "float16"},
        licence="ImageNet's and LiteMedSAM's weights: Apache-2.0; ARCADE: CC BY 4.0",
        notes="Dice of tight boxes on cases that no training here saw; LiteMedSAM itself may have seen some of them.",
        torch=torch.__version__,
    )


def prepare(data: Path, out: Path, angiograms: int, phantoms: int) -> list[str]:
    """Write a datalist for each data set, and return them, each as often as it counts."""
    folder = out / "data"
    sets: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, parts in labelled_sets(data, folder).items():
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


def _write(path: Path, name: str, splits: Mapping[str, Iterable[dict[str, Any]]]) -> Path:
    classes = ["background", "object"]
    return write_datalist(path, name=name, task="objects", class_names=classes, splits=dict(splits))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
