"""Train the shipped adapters of modalities, `ct`, `mr` and `us`, on a promptable base.

    python scripts/train_adapters.py DATA                                    # for `mini`: half an hour of one core
    python scripts/train_adapters.py DATA --encoder medsam_lite --only us    # one adapter for another base
    python scripts/train_adapters.py DATA --quick --out /tmp/adapters --work /tmp/work      # to see that it works

DATA is a folder with `cosmos` and `msd_hippocampus` in their published layouts. Each adapter is trained by the bundle
`modality_adapter` and scored, like its base, on the three tenths of the cases that no training here sees, that of
`mini` included. Scores choose nothing: the last epoch is shipped. A killed run goes on where it stopped when the same
command is given again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from monai_lora_sam.adaptation import compare, score
from monai_lora_sam.cli import one_line_errors
from monai_lora_sam.data import labelled_sets, object_names, write_datalist
from monai_lora_sam.networks import PromptableSegmenter, build_promptable, choose_device
from monai_lora_sam.stages import SHIPPED_ADAPTERS, load_stage, save_stage
from monai_lora_sam.workflows import run_bundle

BUNDLE = "modality_adapter"
Entries = list[dict[str, Any]]


@dataclass(frozen=True)
class Modality:
    """Say on which of the labelled sets an adapter trains, and for how many epochs.

    Attributes:
        term: DICOM's.
        sets: of `labelled_sets`.
        epochs: 100 to 200 steps.
        training_data: for the card.
    """

    term: str
    sets: tuple[str, ...]
    epochs: int
    training_data: str


BREAST = "breast ultrasound (Al-Dhabyani et al., Data in Brief 2020)"
MODALITIES = {
    "us": Modality("US", ("US",), 10, BREAST),
    "ct": Modality("CT", ("CT",), 24, "abdominal CT slices with pancreas, in the layout of COSMOS-1050K"),
    "mr": Modality(
        "MR",
        ("MR", "hippocampus"),
        4,
        "cardiac MR slices in the layout of COSMOS-1050K, and the Decathlon's hippocampus",
    ),
}
SETTINGS: dict[str, Any] = {"image_size": 256, "batch_size": 2, "patience": 1000, "seed": 0}
SLICES = 2  # of each volume of the hippocampus, so that the heart is not lost beside it
NOTE = (
    "A start for your own adapter rather than a product: a few dozen images of one source. Dice of the decoder's "
    "single mask on cases that no training here saw; the base's teacher may have seen some of them."
)


@one_line_errors()
def main(
    data: Annotated[Path, typer.Argument(help="Folder with cosmos/ and msd_hippocampus/.")],
    encoder: Annotated[str, typer.Option(help="Base: mini, medsam_lite, …")] = "mini",
    out: Annotated[
        Path, typer.Option(help="Folder of the adapters: ENCODER/MODALITY is replaced.")
    ] = SHIPPED_ADAPTERS,
    work: Annotated[Path, typer.Option(help="Folder of data, checkpoints and scores.")] = Path(
        "runs/adapters"
    ),
    only: Annotated[list[str] | None, typer.Option(help="Of ct, mr, us; repeatable. Default: all.")] = None,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Train one adapter for each modality, compare it with the base on held-out cases, and write it with a card."""
    wanted = tuple(only or MODALITIES)
    if unknown := sorted(set(wanted) - set(MODALITIES)):
        raise ValueError(f"--only: expected some of {', '.join(MODALITIES)}, found {', '.join(unknown)}")
    sets = labelled_sets(data, work / "data", SLICES)
    for name in wanted:
        parts = {
            split: [entry for source in MODALITIES[name].sets for entry in sets[source][split]]
            for split in ("training", "validation", "test")
        }
        folder = out / encoder / name
        train(name, encoder, parts, folder, (work / encoder / name).resolve(), quick)
        print(folder)


def train(name: str, encoder: str, parts: dict[str, Entries], out: Path, work: Path, quick: bool) -> None:
    """Train and score the adapter of a modality, and write it."""
    modality = MODALITIES[name]
    names = sorted(
        {thing["name"] for entries in parts.values() for entry in entries for thing in entry["objects"]}
    )
    datalist = write_datalist(
        work / "datalist.json", name=name, task="objects", class_names=["background", *names], splits=parts
    )
    settings: dict[str, Any] = {
        **SETTINGS,
        "encoder_name": encoder,
        "epochs": modality.epochs,
        "val_interval": modality.epochs // 2,
    }
    if quick:
        settings |= {"epochs": 1, "val_interval": 1, "image_size": 128, "limit": 2, "prompts_per_image": 1}
    places = {
        "dataset_dir": str(work),
        "datalist_file": str(datalist),
        "output_dir": str(work / "training"),
        "adapter_name": name,
    }
    run_bundle(BUNDLE, overrides={**settings, **places})
    stage = load_stage(work / "training" / "last")
    assert isinstance(stage, PromptableSegmenter)  # as the bundle trains it
    held_out = parts["test"][: 2 if quick else None]
    comparison = compare_with_bases(stage, encoder, settings["image_size"], held_out, names, work / "scores")
    counts = {split: f"{len(entries)} images of {_cases(entries)} cases" for split, entries in parts.items()}
    save_stage(
        stage,
        out,
        task="objects",
        class_names=object_names(datalist),
        metrics={f"dice, {item['mode']}": round(item["after"], 4) for item in comparison},
        modality=modality.term,
        training_data=f"{counts['training']}: {modality.training_data}",
        validation_data=counts["validation"],
        held_out_data=counts["test"],
        comparison=comparison,
        settings={
            **settings,
            "steps": settings["epochs"] * (len(parts["training"]) // settings["batch_size"]),
        },
        made_by=f"python scripts/train_adapters.py DATA --encoder {encoder} --only {name}",
        notes=NOTE,
        torch=torch.__version__,
    )
    print(json.dumps(comparison, indent=1))


def compare_with_bases(
    stage: PromptableSegmenter, encoder: str, side: int, entries: Entries, names: Sequence[str], out: Path
) -> list[dict[str, Any]]:
    """Return the mean Dice by prompt of the adapter, of its base at the same side, and of the base at its own side."""
    device = choose_device(None)
    classes = ["background", *names]

    def scores(network: PromptableSegmenter) -> list[dict[str, Any]]:
        role = f"{'-'.join(network.adapters) or 'base'}_{network.stack.encoder.image_size}"
        return score(network.to(device), entries, classes, out / role)

    after = scores(stage)
    items = compare(scores(build_promptable(encoder, image_size=side)), after)
    own = build_promptable(encoder)
    at_own_side = compare(scores(own), after)
    return [
        {
            **{key: round(value, 4) if isinstance(value, float) else value for key, value in item.items()},
            "gain_interval": [round(end, 4) for end in item["gain_interval"]],
            f"before_at_{own.stack.encoder.image_size}_px": round(other["before"], 4),
        }
        for item, other in zip(items, at_own_side, strict=True)
    ]


def _cases(entries: Entries) -> int:
    return len({entry.get("case_id") or entry["image"] for entry in entries})


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
