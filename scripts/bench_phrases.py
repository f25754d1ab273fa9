"""Measure a network that takes words: seconds and memory by the number of phrases, and false alarms on absent phrases.

    python scripts/bench_phrases.py models/arteries/best --weights WEIGHTS
    python scripts/bench_phrases.py models/arteries/best --datalist DATALIST --phrases artery_phrases
    python scripts/bench_phrases.py --weights facebook/sam3        # SAM 3 itself, which needs no adapter

Seconds are the median of the repeats; the image is encoded once for all phrases. Memory is the largest of the process
up to then, on the GPU where there is one, so that it tells whether more phrases need more. False alarms are the share
of the absent phrases of a split that are found, before adaptation and after it: before, SAM 3 is Meta's own, and a
compact network has a fresh projection and presence, which know no word.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.progress import Progress
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors, write_json
from monai_lora_sam.data import first_entries, phrase_entries
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.networks import TextSegmenter, build_text_segmenter, choose_device
from monai_lora_sam.prompting import ObjectPrompt, load_promptable, segment_image
from monai_lora_sam.stages import find_stage, new_stage, read_stage_card

#: Fifty different phrases.
WORDS = [
    " ".join(words)
    for words in product(
        ("left", "right", "upper", "lower", "small"),
        ("kidney", "lung", "artery", "vein", "rib", "tumour", "nodule", "gland", "nerve", "muscle"),
    )
]
PRESENT = 0.5


@one_line_errors()
def main(
    adapter: Annotated[
        str | None, typer.Argument(help="Adapter that was taught words. Default: SAM 3 itself.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Weights of the base in place of its own.")] = None,
    count: Annotated[
        list[int], typer.Option(help="Number of phrases, as often as wanted.", min=1, max=50)
    ] = [1, 10, 50],  # noqa: B006
    repeats: Annotated[int, typer.Option(help="Of each measurement.", min=1)] = 3,
    datalist: Annotated[Path | None, typer.Option(help="Score false alarms on it.")] = None,
    phrases: Annotated[str | None, typer.Option(help="How a package names its labels.")] = None,
    split: Annotated[str, typer.Option(help="training, validation or test.")] = "validation",
    limit: Annotated[int | None, typer.Option(help="Number of images.", min=1)] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
) -> None:
    """Measure seconds, memory and false alarms."""
    network = load(adapter, weights, device)
    results: dict[str, Any] = {"phrases": measure(network, sorted(count), repeats)}
    console.print(time_table(results["phrases"]))
    if datalist is not None:
        entries = first_entries(phrase_entries(datalist, split, phrases), limit, 0)
        if adapter is None:
            results["false_alarms"] = {"as it is": score(network, entries)}
        else:
            del network
            results["false_alarms"] = {
                "before": score(before(adapter, weights, device), entries),
                "after": score(load(adapter, weights, device), entries),
            }
        console.print(alarm_table(results["false_alarms"]))
    if json_file is not None:
        facts = {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "threads": torch.get_num_threads()}
        write_json({**facts, **results}, json_file)


def load(adapter: str | None, weights: str | None, device: str | None) -> Any:
    """Load an adapter on its base, or SAM 3 itself."""
    if adapter is not None:
        return load_promptable(weights=weights, adapter=adapter, device=device)
    return build_text_segmenter(*([] if weights is None else [weights])).to(choose_device(device))


def before(adapter: str, weights: str | None, device: str | None) -> Any:
    """Return the network of an adapter as it was before its training."""
    card = read_stage_card(find_stage(adapter))
    head, side, name = card["head"], card["input_size"], card["encoder"]["name"]
    if head["type"] == "concepts":
        made: Any = build_text_segmenter(*([] if weights is None else [weights]), image_size=side)
        return made.to(choose_device(device))
    pretrained = True if weights is None else weights
    torch.manual_seed(0)
    keys = {"strategy": "frozen", "decoder": "frozen", "text_strategy": "frozen"}
    source = head["text"]["source"]
    encoder = build_encoder(name, pretrained, side)
    made = new_stage(encoder, head="text", pretrained=pretrained, text_encoder=source, **keys)
    return made.to(choose_device(device)).eval()


def measure(network: Any, counts: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return seconds of the image and of the phrases on it, and the largest memory in MB, by the number of phrases."""
    device = next(network.parameters()).device
    side = network.stack.encoder.image_size
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    rows = []
    with torch.inference_mode():
        ask(network, network.encode(image), WORDS[:1])  # libraries prepare themselves in the first call
        for count in counts:
            encoding, asking = [], []
            for _ in range(repeats):
                start = clock(device)
                embedding = network.encode(image)
                middle = clock(device)
                ask(network, embedding, WORDS[:count])
                encoding.append(middle - start)
                asking.append(clock(device) - middle)
            rows.append(
                {
                    "phrases": count,
                    "image_seconds": round(statistics.median(encoding), 4),
                    "phrase_seconds": round(statistics.median(asking), 4),
                    "peak_mb": round(peak_bytes(device) / 1e6),
                }
            )
    return rows


def ask(network: Any, embedding: Any, phrases: Sequence[str]) -> None:
    """Answer phrases on an image that was encoded."""
    if isinstance(network, TextSegmenter):
        network.segment(embedding, phrases)
    else:
        network.decode(embedding, words=network.encode_phrases(phrases)[None])


def score(network: Any, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the share of the absent phrases of images that are found, and that of the present ones."""
    found: dict[bool, list[bool]] = {True: [], False: []}
    with Progress(console=console, transient=True) as bars:
        for entry in bars.track(entries, description="images"):
            known = {**dict.fromkeys(entry["absent"], False), **dict.fromkeys(entry["masks"], True)}
            prompts = [ObjectPrompt(phrase, text=phrase) for phrase in known]
            for one in segment_image(network, read_colour_image(entry["image"]).pixels, prompts):
                found[known[one.prompt.name]].append((one.presence or 0.0) >= PRESENT)
    shares = {
        name: round(statistics.mean(found[shown]), 4) if found[shown] else None
        for name, shown in (("false_alarms", False), ("present_found", True))
    }
    return {**shares, "absent_phrases": len(found[False]), "present_phrases": len(found[True])}


def clock(device: torch.device) -> float:
    """Return seconds once the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_bytes(device: torch.device) -> float:
    """Return the largest memory so far: of the GPU's tensors, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def time_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return seconds and memory for the console."""
    table = Table("phrases", "image (s)", "phrases (s)", "peak (MB)", box=box.SIMPLE, pad_edge=False)
    for row in rows:
        seconds = (f"{row[name]:.3f}" for name in ("image_seconds", "phrase_seconds"))
        table.add_row(str(row["phrases"]), *seconds, str(row["peak_mb"]))
    return table


def alarm_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return false alarms for the console."""
    table = Table("network", "false alarms", "present found", box=box.SIMPLE, pad_edge=False)
    for name, row in figures.items():
        shares = (row["false_alarms"], row["present_found"])
        numbers = (row["absent_phrases"], row["present_phrases"])
        cells = ("–" if s is None else f"{s:.3f} of {n}" for s, n in zip(shares, numbers, strict=True))
        table.add_row(name, *cells)
    return table


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app()
