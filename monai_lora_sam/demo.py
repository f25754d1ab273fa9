"""The demonstration: draw phantoms, train a vessel adapter on them, show what it finds."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from .data import read_datalist
from .data.phantom import prepare_phantoms
from .handlers import read_history
from .pipeline import CoronaryPipeline, write_result
from .report import Comparison, Section, result_sections, write_demo_report
from .workflows import run_bundle

PHANTOMS = 96
EPOCHS = 6
PICTURES = 4
IMAGE_SIZE = 336


def run_demo(out: str | Path, angiogram: str | Path | None, console: Console) -> Path:
    """Draw phantoms, train the adapter ``vessels`` on the tiny base, run the pipeline, write ``report.html``.

    A run that was killed goes on where it stopped. A few minutes on two cores.

    Args:
        out: folder for everything.
        angiogram: a real angiogram to run as well, with the weights that come with the package.
        console: where steps are told.

    Returns:
        The page.
    """
    out = Path(out)
    if angiogram is not None and not Path(angiogram).is_file():
        raise FileNotFoundError(f"{angiogram}: expected an angiogram, found nothing")
    console.print(f"[bold]1/3[/] drawing {PHANTOMS} synthetic angiograms")
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("phantoms", total=PHANTOMS)
        datalist = prepare_phantoms(
            out / "phantoms", PHANTOMS, 0, 1 / 6, lambda done, _: bars.update(bar, completed=done)
        )
    console.print("[bold]2/3[/] training a LoRA adapter and a head on them; the base stays frozen")
    started = time.perf_counter()
    run = run_bundle(
        "vessel_segmentation",
        overrides={
            "dataset_dir": str(datalist.parent),
            "output_dir": str(out / "models"),
            "epochs": EPOCHS,
            "image_size": IMAGE_SIZE,
            "batch_size": 2,
            "learning_rate": 0.003,
        },
    )
    seconds = time.perf_counter() - started
    network = run.parser.get_parsed_content("network_def")
    console.print("[bold]3/3[/] running the pipeline")
    entries = read_datalist(datalist)["validation"][:PICTURES]
    pipeline = CoronaryPipeline(out / "models" / "best")
    comparisons = [_compare(entry, pipeline, out) for entry in entries]
    own: list[Section] = []
    if angiogram is not None:
        result = CoronaryPipeline()(angiogram)
        write_result(result, out / "angiogram")
        own = result_sections(
            result.report, result.angiogram.pixels, result.vessels, result.probability, result.segments
        )
        own[0] = replace(own[0], title=f"{result.angiogram.path.name}, by the shipped weights")
    history = read_history(out / "models" / "history.jsonl")
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    write_demo_report(
        out,
        comparisons,
        [line["loss"] for line in history],
        [line["val_dice"] for line in history],
        {
            "Synthetic angiograms": PHANTOMS,
            "Epochs": len(history),
            "Training in this call (s)": round(seconds),
            "Parameters trained": f"{trained:,}",
            "Parameters of the base, frozen": f"{sum(p.numel() for p in network.stack.parameters()):,}",
            "CPU threads": torch.get_num_threads(),
        },
        own,
    )
    return out / "report.html"


def _compare(entry: dict, pipeline: CoronaryPipeline, out: Path) -> Comparison:
    result = pipeline(entry["image"])
    name = Path(entry["image"]).stem
    write_result(result, out / "phantom_results" / name)
    truth = np.asarray(Image.open(entry["label"])) > 0
    overlap = 2 * (truth & result.vessels).sum() / max(truth.sum() + result.vessels.sum(), 1)
    return Comparison(name, result.angiogram.pixels, truth, result.vessels, float(overlap))
