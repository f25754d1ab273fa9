"""Train the shipped adapters and heads of the three coronary stages on the compact base `mini`.

    python scripts/train_shipped.py ARCADE                          # as shipped, at most 2 hours on 2 cores
    python scripts/train_shipped.py ARCADE --only stenosis          # one stage, on the shipped ones below it
    python scripts/train_shipped.py ARCADE --quick --out /tmp/t     # minutes, to see that it works

Each stage is trained by its own bundle, on synthetic angiograms and on ARCADE's training split, with the earlier stages
frozen, and scored on both validation splits. Scores choose nothing: the last epoch is shipped. A killed run goes on
where it stopped when the same command is given again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress

from monai_lora_sam.adapters import read_card
from monai_lora_sam.coronary.data import prepare_arcade, read_task
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.metrics import score_lesions
from monai_lora_sam.coronary.networks import LesionDetector
from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms
from monai_lora_sam.coronary.pipeline import CoronaryPipeline
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.data import combine_datalists
from monai_lora_sam.stages import load_stage, save_stage
from monai_lora_sam.workflows import run_bundle, run_bundle_together

ARCADE = "ARCADE {task}/train (Popov et al., Scientific Data 2024, doi 10.1038/s41597-023-02871-z, CC BY 4.0)"
PHANTOMS = "synthetic angiograms of this project"

#: Scores tried for what counts as a lesion.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 11))


@dataclass(frozen=True)
class Stage:
    """How one stage is trained and scored."""

    bundle: str
    task: str  # of ARCADE's data
    training_data: str
    settings: dict[str, Any]
    below: tuple[str, ...] = ()
    arcade_share: int = 0  # how often ARCADE's images count in an epoch, beside the phantoms


STAGES = {
    "vessels": Stage(
        "vessel_segmentation",
        "vessels",
        f"{ARCADE.format(task='syntax')}, with implants and weak filling drawn into it",
        {
            "encoder_name": "mini",
            "image_size": 512,
            "epochs": 12,
            "batch_size": 8,
            "lora#dropout": 0.0,  # on 1 x 1 convolutions it takes a fifth of the time
            "implants": 0.3,
            "weak_filling": 0.3,
            "val_interval": 4,
        },
    ),
    "segments": Stage(
        "segment_classification",
        "segments",
        f"{PHANTOMS}, and {ARCADE.format(task='syntax')}",
        {"epochs": 6, "batch_size": 8, "val_interval": 2},
        below=("vessels",),
        arcade_share=2,
    ),
    "stenosis": Stage(
        "stenosis_detection",
        "stenosis",
        f"{PHANTOMS}, and {ARCADE.format(task='stenosis')}",
        {"epochs": 8, "batch_size": 16, "val_interval": 4, "feature_cache": True, "feature_variants": 1},
        below=("vessels", "segments"),
        arcade_share=2,
    ),
}


def main(
    arcade: Annotated[Path, typer.Argument(help="The published folder, which holds syntax/ and stenosis/.")],
    out: Annotated[Path, typer.Option(help="Folder of the results, one folder for each stage.")] = SHIPPED,
    work: Annotated[Path, typer.Option(help="Data, checkpoints and logs; a resumed run needs it.")] = Path(
        "runs/shipped"
    ),
    only: Annotated[
        list[str] | None, typer.Option(help="Stages to train; the others are taken from --out.")
    ] = None,
    phantoms: Annotated[int, typer.Option(help="Number of synthetic angiograms.")] = 540,
    processes: Annotated[int, typer.Option(help="That share each batch, one CPU thread each.")] = 2,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Train the three shipped stages, one on top of the other, and write them with their cards."""
    wanted = tuple(only or STAGES)
    if unknown := sorted(set(wanted) - set(STAGES)):
        raise typer.BadParameter(f"--only: expected stages among {sorted(STAGES)}, found {unknown}")
    if quick:
        phantoms = 18
    torch.set_num_threads(1)
    work = work.resolve()
    drawn = work / "phantoms"
    if any(STAGES[name].arcade_share for name in wanted):
        draw_phantoms(drawn, phantoms)
    for name in (name for name in STAGES if name in wanted):
        started = time.perf_counter()
        metrics = train(name, arcade, drawn, out, work, processes, quick)
        print(f"{out / name}: {json.dumps(metrics)}, {time.perf_counter() - started:.0f} s in this call")


def draw_phantoms(folder: Path, number: int) -> None:
    """Draw the synthetic angiograms that stages 2 and 3 learn from, with a bar."""
    with Progress() as bars:
        bar = bars.add_task("phantoms", total=number)
        advance: Callable[[int, int], None] = lambda done, _: bars.update(bar, completed=done)  # noqa: E731
        prepare_phantoms(folder, number, 2, 1 / 9, advance, PhantomConfig(lesion_probability=0.7))


def train(
    name: str, arcade: Path, phantoms: Path, out: Path, work: Path, processes: int, quick: bool
) -> dict[str, float | None]:
    """Train one stage on those below it, score it, and write it into ``out``; return its scores."""
    stage = STAGES[name]
    real = prepare_arcade(arcade, work / f"arcade_{stage.task}", stage.task).parent
    held_out = {"arcade": real} | ({"phantom": phantoms} if stage.arcade_share else {})
    sources = [phantoms, *[real] * stage.arcade_share] if stage.arcade_share else [real]
    data = combine_datalists(sources, work / f"{name}_data", stage.task).parent
    settings: dict[str, Any] = {
        "dataset_dir": str(data),
        "output_dir": str(work / name),
        "patience": 1000,
        "seed": 0,
        **stage.settings,
        **{parent: str(out / parent) for parent in stage.below},
    }
    if quick:
        settings |= {"epochs": 1, "val_interval": 1, "image_size": 128}
    run_bundle_together(stage.bundle, processes, overrides=settings)
    trained = work / name / "last"
    metrics = {}
    for source, folder in held_out.items():
        scoring = {**settings, "dataset_dir": str(folder), "stage_folder": str(trained)}
        scoring["scores_dir"] = str(work / name / f"scores_{source}")
        run = run_bundle(stage.bundle, ["train.yaml", "evaluate.yaml"], scoring)
        scores = run.parser.get_parsed_content("validate#evaluator").state.metrics
        metrics |= {f"{source}_{key.removeprefix('val_')}": finite(value) for key, value in scores.items()}
    card: dict[str, Any] = {
        "metrics": metrics,
        "training_data": stage.training_data,
        "made_by": f"python scripts/train_shipped.py ARCADE --only {name}",
    }
    below = [out / parent for parent in stage.below]
    if name == "stenosis":
        network = load_stage(trained, reads=dict(zip(("vessels", "segments"), below, strict=True)))
        card["score_threshold"] = choose_threshold(network, read_task(real, "stenosis")["training"])
    else:
        network = load_stage(trained, parents=below)
    own = read_card(trained)
    save_stage(network, out / name, task=own["task"], class_names=own["class_names"], **card)
    return metrics


def choose_threshold(network: LesionDetector, entries: list[dict[str, Any]]) -> float:
    """Return the score that gives the best F1 by centre distance on ARCADE's training images.

    Validation images would tune it to its own test; phantoms are easier and would leave it too high.
    """
    pipeline = CoronaryPipeline(
        network.vessels, network.segments, network, refiner=None, score_threshold=THRESHOLDS[0]
    )
    found = [pipeline.predict(read_angiogram(entry["image"]))[2] for entry in entries]
    true = [entry["lesions"] for entry in entries]
    return max(THRESHOLDS, key=lambda score: score_lesions(found, true, score).distance.f1)


def finite(value: Any) -> float | None:
    """Return a score as JSON can hold it: NaN, of a class that is nowhere, becomes null."""
    number = float(value)
    return round(number, 4) if number == number else None


if __name__ == "__main__":
    typer.run(main)
