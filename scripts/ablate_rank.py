"""Train a stage with adapters of several ranks and compare score, size and time.

    python scripts/ablate_rank.py data/arcade_vessels --set encoder_name=tiny --set epochs=4 --set image_size=336
    python scripts/ablate_rank.py data/arcade_segments --bundle segment_classification --seeds 3 --json rank.json
    python scripts/ablate_rank.py data/arcade_vessels --quick

Everything but the rank is the bundle's, or given by --set. Alpha is twice the rank throughout, so that the update's
scale alpha / r stays the same and the rank alone differs. Scores are those of the validation split after the last
epoch; they choose nothing. A finished run is kept and skipped, a killed one goes on after its last whole epoch, when
the same command is given again. The file of --json and page.html in --work hold all finished runs.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml
from monai.utils import set_determinism
from rich import box
from rich.console import Console
from rich.table import Table

from monai_lora_sam.adapters import read_card
from monai_lora_sam.cli.console import one_line_errors
from monai_lora_sam.coronary.data import read_task
from monai_lora_sam.data import write_datalist
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.handlers import read_history
from monai_lora_sam.report import Chart, Facts, Section, Series, line_chart, write_page
from monai_lora_sam.report import Table as PageTable
from monai_lora_sam.workflows import bundle_folder, run_bundle

#: Of each bundle: the task of its data, and the score that is compared.
BUNDLES = {
    "vessel_segmentation": ("vessels", "val_dice"),
    "segment_classification": ("segments", "val_macro_f1"),
}
RANKS = [4, 8, 16, 32, 64]
ALPHA_TO_RANK = 2
QUICK: dict[str, Any] = {"encoder_name": "tiny", "epochs": 1, "image_size": 112, "batch_size": 4}
QUICK_RANKS, QUICK_IMAGES = [4, 64], 8
#: Keys that this script sets itself.
OWN = {"dataset_dir", "datalist_file", "output_dir", "strategy", "seed", "resume"}


@one_line_errors()
def main(
    data: Annotated[Path, typer.Argument(help="Folder with datalist.json, as `prepare` writes it.")],
    bundle: Annotated[str, typer.Option(help=f"{' or '.join(BUNDLES)}.")] = "vessel_segmentation",
    rank: Annotated[list[int], typer.Option(help="Ranks to train, one option each.")] = RANKS,
    seeds: Annotated[int, typer.Option(help="Runs of each rank, with the seeds 0, 1, …")] = 1,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the bundle's train.yaml, as often as wanted."),
    ] = None,
    work: Annotated[Path, typer.Option(help="Stages, logs and page.html; a resumed run needs it.")] = Path(
        "runs/rank"
    ),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    quick: Annotated[
        bool, typer.Option(help="Two ranks, a few images, one epoch, to see that it works.")
    ] = False,
) -> None:
    """Train a stage at several ranks; print and plot score and bytes over the rank."""
    console = Console()
    if bundle not in BUNDLES:
        raise ValueError(f"--bundle: expected one of {sorted(BUNDLES)}, found {bundle!r}")
    settings = parse_settings(setting or [], bundle)
    if quick:
        rank, settings = QUICK_RANKS, {**QUICK, **settings}
    ranks = sorted(set(rank))
    if ranks[0] < 1 or len(ranks) < 2:
        raise ValueError(f"--rank: expected two or more whole numbers from 1 on, found {rank}")
    if seeds < 1:
        raise ValueError(f"--seeds: expected a number from 1 on, found {seeds}")
    task, score = BUNDLES[bundle]
    content = read_task(data, task)
    for split in ("training", "validation"):
        if not content[split]:
            raise ValueError(f"{data}: expected images under {split!r}, found none")
    work = work / (f"{bundle}_quick" if quick else bundle)
    if quick:
        data = work / "quick_data"
        splits = {split: content[split][:QUICK_IMAGES] for split in ("training", "validation")}
        about = {key: content[key] for key in ("name", "task", "class_names")}
        write_datalist(data / "datalist.json", **about, splits=splits)
    runs = [(r, seed) for r in ranks for seed in range(seeds)]
    results: list[dict[str, Any]] = []
    for number, (r, seed) in enumerate(runs, start=1):
        console.print(f"[bold]run {number} of {len(runs)}[/]: rank {r}, seed {seed}", highlight=False)
        results.append(train(bundle, data, work / f"rank_{r:02d}_seed_{seed}", r, seed, settings))
        rows = summary(results, score)
        facts = {
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "threads": torch.get_num_threads(),
            "bundle": bundle,
            "data": content["name"],
            "images": {split: len(content[split]) for split in ("training", "validation")},
            "settings": settings,
            "alpha": f"{ALPHA_TO_RANK} r",
            "score": score,
        }
        if quick:
            facts["images"] = dict.fromkeys(facts["images"], f"at most {QUICK_IMAGES}")
        if json_file is not None:
            write_json(json_file, {**facts, "runs_planned": len(runs), "results": rows, "runs": results})
        plot(work / "page.html", ranks, rows, facts, f"{number} of {len(runs)} runs finished")
    console.print(as_table(rows, score))
    console.print(f"Open [bold]{work / 'page.html'}[/] in a browser.", soft_wrap=True)


def parse_settings(given: list[str], bundle: str) -> dict[str, Any]:
    """Return KEY=VALUE pairs with YAML's values, each a key of the bundle that this script does not set itself."""
    path = bundle_folder(bundle) / "configs" / "train.yaml"
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        first = key.split("#")[0]
        if not equals:
            raise ValueError(f"--set: expected KEY=VALUE, found {text!r}")
        if first not in known:
            raise ValueError(f"--set: expected a key of {path}, found {first!r}")
        if first in OWN or key in ("lora", "lora#r", "lora#alpha"):
            raise ValueError(f"--set: {key!r} is set by this script itself")
        settings[key] = yaml.safe_load(value)
    start = settings.get("start_from")
    if start is not None and (strategy := read_card(start)["strategy"]) != "frozen":
        raise ValueError(
            f"{start}: expected a start without an adapter (strategy 'frozen'), whose rank would stay; "
            f"found {strategy!r}"
        )
    return settings


def train(
    bundle: str, data: Path, folder: Path, r: int, seed: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """Train one stage, or go on with it, and return its figures; only return them if it is finished.

    Raises:
        ValueError: if the folder holds a run with other settings or other data.
    """
    datalist = (data / "datalist.json").read_bytes()
    asked = {**settings, "bundle": bundle, "datalist_sha256": hashlib.sha256(datalist).hexdigest()}
    note = folder / "run.json"
    if note.is_file():
        found = json.loads(note.read_text(encoding="utf-8"))
        if found["settings"] != asked:
            different = sorted(
                key for key in {*asked, *found["settings"]} if asked.get(key) != found["settings"].get(key)
            )
            raise ValueError(
                f"{folder}: expected a run with the same settings, found other {', '.join(different)}: "
                "choose another --work"
            )
        if found["result"] is not None:
            return found["result"]
    write_json(note, {"settings": asked, "result": None})
    defaults = yaml.safe_load((bundle_folder(bundle) / "configs" / "train.yaml").read_text(encoding="utf-8"))
    overrides = {
        "val_interval": settings.get("epochs", defaults["epochs"]),
        **settings,
        "dataset_dir": str(data),
        "output_dir": str(folder),
        "strategy": "lora",
        "lora#r": r,
        "lora#alpha": ALPHA_TO_RANK * r,
        "seed": seed,
    }
    try:
        network = run_bundle(bundle, overrides=overrides).parser.get_parsed_content("network_def")
    finally:
        set_determinism(None)
    card = read_card(folder / "last")
    history = read_history(folder / "history.jsonl")
    result = {
        "rank": r,
        "seed": seed,
        "adapter_parameters": network.stack.budget()[network.name]["parameters"],
        "adapter_bytes": (folder / "last" / "adapter_model.safetensors").stat().st_size,
        "stage_bytes": sum(file.stat().st_size for file in (folder / "last").iterdir()),
        "epochs": len(history),
        "seconds": round(sum(line["seconds"] for line in history), 1),
        "metrics": card["metrics"],
    }
    write_json(note, {"settings": asked, "result": result})
    return result


def summary(results: list[dict[str, Any]], score: str) -> list[dict[str, Any]]:
    """Return one row a rank: its size, mean seconds of a run, score of each seed, mean and sample SD."""
    rows = []
    for r in dict.fromkeys(result["rank"] for result in results):
        runs = [result for result in results if result["rank"] == r]
        scores = [run["metrics"][score] for run in runs]
        known = [value for value in scores if value is not None]
        rows.append(
            {
                "rank": r,
                "adapter_parameters": runs[0]["adapter_parameters"],
                "adapter_bytes": runs[0]["adapter_bytes"],
                "stage_bytes": runs[0]["stage_bytes"],
                "seconds": statistics.mean(run["seconds"] for run in runs),
                "scores": scores,
                "mean": statistics.mean(known) if known else None,
                "sd": statistics.stdev(known) if len(known) > 1 else None,
            }
        )
    return rows


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row as it is read."""

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    return [
        str(row["rank"]),
        f"{row['adapter_parameters'] / 1e6:.3f} M",
        f"{row['adapter_bytes'] / 1e6:.2f} MB",
        f"{row['stage_bytes'] / 1e6:.2f} MB",
        f"{row['seconds']:.0f}",
        " ".join(map(number, row["scores"])),
        number(row["mean"]) + (f" ± {row['sd']:.4f}" if row["sd"] is not None else ""),
    ]


def headings(score: str) -> list[str]:
    """Return the headings of the columns."""
    return ["rank", "adapter", "its bytes", "stage", "s", f"{score} by seed", "mean ± SD"]


def as_table(rows: list[dict[str, Any]], score: str) -> Table:
    """Return the figures for the console."""
    table = Table(title=f"alpha = {ALPHA_TO_RANK} r", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in headings(score):
        table.add_column(column, justify="right", no_wrap="seed" not in column)
    for row in rows:
        table.add_row(*cells(row))
    return table


def plot(
    path: Path, ranks: list[int], rows: list[dict[str, Any]], facts: dict[str, Any], subtitle: str
) -> None:
    """Write a page with the table, and with score and bytes over the rank."""
    found = {row["rank"]: row for row in rows}

    def over_rank(name: str, values: dict[int, float | None], dashed: bool = False) -> Series:
        return Series(name, [math.log2(r) for r in ranks], [values.get(r) for r in ranks], dashed)

    mean = {r: row["mean"] for r, row in found.items()}
    scores = [over_rank("mean", mean)]
    if any(len(row["scores"]) > 1 for row in rows):
        for name, of in (("lowest seed", min), ("highest seed", max)):
            edge = {r: of(row["scores"]) if None not in row["scores"] else None for r, row in found.items()}
            scores.append(over_rank(name, edge, dashed=True))
    size = [over_rank("adapter", {r: row["adapter_bytes"] / 1e6 for r, row in found.items()})]
    label = "rank (logarithmic axis)"
    ticks = {math.log2(r): str(r) for r in ranks}
    shown = {key: plain(value) for key, value in facts.items() if key != "command"}
    runs = max(len(row["scores"]) for row in rows)
    caption = f"The vertical axis does not start at zero. {runs} seed{'s' if runs > 1 else ''} a rank."
    sections = [
        Section(
            f"{facts['score']} on the validation split, after the last epoch",
            [Chart(line_chart(scores, label, facts["score"], y_from_zero=False, x_ticks=ticks), caption)],
        ),
        Section("Bytes of the adapter", [Chart(line_chart(size, label, "MB", x_ticks=ticks))]),
        Section("Figures", [PageTable(headings(facts["score"]), [cells(row) for row in rows]), Facts(shown)]),
    ]
    write_page(path, f"Rank ablation of {facts['bundle']}", sections, subtitle)


def plain(value: Any) -> str:
    """Return a fact of the run as it is read."""
    return (
        ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
