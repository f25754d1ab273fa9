"""Compare answers of a language model with those of a sentence encoder, on the same images in the same time.

    python scripts/bench_reasoning.py --datalist data/phantoms/datalist.json --minutes 90 --seeds 3 --out runs/reasoning

Three methods: `language` (bundle reasoning_segmentation), `sentence` (bundle text_adaptation: MiniLM's embedding of
the question → MLP → prompt, on the same questions), and `largest`, which always shows the segment with the most
pixels. Each is scored on known wordings, held-out wordings and held-out facts of the validation images, at their own
size. Minutes are processor time of each training. A sentence encoder writes no words: it has no exact match, and its
marks are the phrases that it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from monai.metrics import DiceMetric
from numpy.typing import NDArray
from PIL import Image
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.data import GROUPS, question_entries, write_datalist
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_file
from monai_lora_sam.images import read_colour_image, read_label
from monai_lora_sam.metrics import ReasoningIoUMetric
from monai_lora_sam.prompting import (
    ObjectPrompt,
    ask_image,
    encode_pixels,
    load_promptable,
    load_reasoning,
    segment_image,
)
from monai_lora_sam.workflows import run_bundle

#: Questions of an image: so many are trained as phrases, and so many are scored.
MOST_QUESTIONS = 12
ENDLESS = 100_000
Masks = NDArray[np.bool_]
#: Returns, for an entry, its pixels and a question, the mask and the answer in words, None without words.
Method = Callable[[Mapping[str, Any], NDArray[np.float32], str], tuple[Masks, str | None]]


def mask_of(entry: Mapping[str, Any], asked: Mapping[str, Any]) -> Masks:
    """Return the union of the masks that a question asks for."""
    labels = read_label(entry["label"], 256)
    values = [value for phrase in asked["masks"] for value in entry["masks"][phrase]]
    return np.isin(labels, values)


def drawn(entry: Mapping[str, Any], seed: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Return up to twelve questions of an entry, each in one wording."""
    rng = np.random.default_rng([seed, *entry["file"].encode()[-16:]])
    order = rng.permutation(len(entry["asked"]))[:MOST_QUESTIONS]
    chosen = [entry["asked"][int(place)] for place in order]
    return [(str(rng.choice(one["questions"])), one) for one in chosen]


def write_phrases(datalist: Path, task: str, folder: Path, seed: int) -> Path:
    """Write known questions as phrases with masks, for a sentence encoder; null where nothing is to be shown."""
    splits: dict[str, list[dict[str, Any]]] = {}
    for split in ("training", "validation"):
        splits[split] = []
        for entry in question_entries(datalist, split, task):
            phrases: dict[str, str | None] = {}
            for question, asked in drawn(entry, seed):
                mask = mask_of(entry, asked)
                path = folder / "masks" / f"{Path(entry['file']).stem}_{len(phrases)}.png"
                if mask.any():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with atomic_file(path) as temporary:
                        Image.fromarray(mask.astype(np.uint8)).save(temporary, format="PNG")
                phrases[question] = str(path.resolve()) if mask.any() else None
            splits[split].append(
                {"image": entry["image"], "case_id": entry.get("case_id"), "phrases": phrases}
            )
    return write_datalist(
        folder / "datalist.json", name="questions as phrases", task="phrases", class_names=[], splits=splits
    )


def largest_segment(
    entry: Mapping[str, Any], pixels: NDArray[np.float32], question: str
) -> tuple[Masks, None]:
    """Return the segment with the most pixels, whatever is asked."""
    labels = read_label(entry["label"], 256)
    counts = np.bincount(labels.ravel(), minlength=2)[1:]
    return labels == 1 + int(counts.argmax()), None


def language_method(folder: Path, device: str | None) -> Method:
    """Return the method of a trained language model."""
    network = load_reasoning(folder, device=device)

    def answer(entry: Mapping[str, Any], pixels: NDArray[np.float32], question: str) -> tuple[Masks, str]:
        (found,) = ask_image(network, encode_pixels(network, pixels), [question])
        empty = np.zeros(pixels.shape[:2], bool)
        return np.any([empty, *(one.mask for one in found.objects)], axis=0), found.text

    return answer


def sentence_method(folder: Path, device: str | None) -> Method:
    """Return the method of a trained sentence encoder."""
    network = load_promptable(adapter=folder, device=device)

    def answer(entry: Mapping[str, Any], pixels: NDArray[np.float32], question: str) -> tuple[Masks, None]:
        (found,) = segment_image(network, pixels, [ObjectPrompt("asked", text=question)])
        return found.mask, None

    return answer


def score(method: Method, entries: list[dict[str, Any]], seed: int) -> dict[str, float | None]:
    """Return gIoU, cIoU, Dice, mark accuracy and exact match of a method over the questions of entries."""
    giou, ciou = ReasoningIoUMetric("giou"), ReasoningIoUMetric("ciou")
    dice = DiceMetric(include_background=True)
    marks, exact = [], []
    for entry in entries:
        pixels = read_colour_image(entry["image"]).pixels
        for question, asked in drawn(entry, seed):
            found, words = method(entry, pixels, question)
            truth = mask_of(entry, asked)
            one, other = (torch.from_numpy(mask)[None, None].long() for mask in (found, truth))
            if asked["asks"]:
                giou(one, other)
                ciou(one, other)
            if truth.any():
                dice(one, other)
            said = found.any() if words is None else "[SEG]" in words
            marks.append(bool(said) == bool(asked["masks"]))
            exact.append(words == asked["answer"])
            words_known = words is not None
    return {
        "giou": float(giou.aggregate()),
        "ciou": float(ciou.aggregate()),
        "dice": float(dice.aggregate()),
        "mark_accuracy": float(np.mean(marks)),
        "exact_match": float(np.mean(exact)) if words_known else None,
    }


@one_line_errors()
def main(
    datalist: Annotated[Path, typer.Option(help="Phantoms, or ARCADE's segments.")],
    out: Annotated[Path, typer.Option(help="Folder of trainings and scores.")],
    minutes: Annotated[float, typer.Option(help="Of each training, in processor time.")] = 90.0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of trainings of each method.")] = 3,
    task: Annotated[str, typer.Option(help="How a package asks about the labels.")] = "coronary_questions",
    encoder: Annotated[str, typer.Option(help="Image encoder of both.")] = "mini",
    limit: Annotated[int | None, typer.Option(help="Score so many images alone.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda …. Default: cuda if there is one.")] = None,
) -> None:
    """Train and score a language model and a sentence encoder on the same questions."""
    scores: list[dict[str, Any]] = []
    common = {"encoder_name": encoder, "strategy": "frozen", "feature_cache": True, "epochs": ENDLESS}
    common |= {"max_minutes": minutes, "patience": ENDLESS, "validation_limit": 40}
    common |= {} if device is None else {"device": device}
    for seed in range(seeds):
        place = out / str(seed)
        phrases = write_phrases(datalist, task, place / "phrases", seed)
        cache = {"feature_cache_dir": str(out / "feature_cache"), "seed": seed}
        language = {"datalist_file": str(datalist), "questions": task}
        sentence = {"datalist_file": str(phrases), "decoder": "lora"}
        for name, bundle, own in (
            ("language", "reasoning_segmentation", language),
            ("sentence", "text_adaptation", sentence),
        ):
            run_bundle(bundle, overrides={**common, **cache, **own, "output_dir": str(place / name)})
        methods: dict[str, Method] = {
            "language": language_method(place / "language" / "best", device),
            "sentence": sentence_method(place / "sentence" / "best", device),
            "largest": largest_segment,
        }
        for group in GROUPS:
            entries = question_entries(datalist, "validation", task, group)[:limit]
            for name, method in methods.items():
                scores.append({"seed": seed, "asked": group, "method": name, **score(method, entries, seed)})
        write_json(out / "scores.json", scores)
    show(scores)


def show(scores: list[dict[str, Any]]) -> None:
    """Print the mean of each score over the seeds."""
    names = ("giou", "ciou", "dice", "mark_accuracy", "exact_match")
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("asked", "method", *names):
        table.add_column(column, justify="left" if column in ("asked", "method") else "right")
    for group, method in dict.fromkeys((row["asked"], row["method"]) for row in scores):
        rows = [row for row in scores if (row["asked"], row["method"]) == (group, method)]
        means = [None if rows[0][name] is None else np.mean([row[name] for row in rows]) for name in names]
        table.add_row(group, method, *("–" if mean is None else f"{mean:.3f}" for mean in means))
    console.print(table)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
