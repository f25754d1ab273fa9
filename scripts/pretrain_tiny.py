"""Pretrain the tiny encoder that the package ships, on synthetic angiograms alone.

    python scripts/pretrain_tiny.py                        # as shipped, on 2 cores
    python scripts/pretrain_tiny.py --quick --out /tmp/t   # a minute, to see that it works

All of its parameters learn to find vessels and to name their segments. A killed run goes on where it stopped;
equal seeds give equal bytes on one machine with one number of processes. Two processes of one thread each share
a batch: on two cores that is faster than one process of two threads.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import Progress

from monai_lora_sam import __version__
from monai_lora_sam.coronary.networks import ViewSegmentationHead
from monai_lora_sam.coronary.phantom import prepare_phantoms
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.encoders import ENCODERS, build_encoder, save_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import AdaptedSegmenter, build_segmenter
from monai_lora_sam.stages import save_stage
from monai_lora_sam.workflows import run_bundle_together

CONFIG = Path(__file__).with_suffix(".yaml")
SHIPPED_BASE = Path(ENCODERS.load("tiny").weights)


def main(
    out: Annotated[Path, typer.Option(help="Where the encoder is written.")] = SHIPPED_BASE,
    stage: Annotated[Path, typer.Option(help="Where its phantom-trained vessel head is written.")] = SHIPPED
    / "vessels_phantom",
    work: Annotated[
        Path, typer.Option(help="Phantoms, checkpoints and logs; a resumed run needs it.")
    ] = Path("runs/pretrain_tiny"),
    count: Annotated[int, typer.Option(help="Number of phantoms.")] = 3000,
    epochs: int = 5,
    image_size: Annotated[int, typer.Option(help="Side in pixels while training.")] = 336,
    batch_size: int = 8,
    seed: int = 0,
    processes: Annotated[int, typer.Option(help="That share each batch, one CPU thread each.")] = 2,
    quick: Annotated[bool, typer.Option(help="A tiny run, to see that everything works.")] = False,
) -> None:
    """Pretrain the tiny encoder on phantoms and write it with its card."""
    if quick:
        count, epochs, image_size = 24, 1, 168
    torch.set_num_threads(1)
    started = time.perf_counter()
    phantoms = work / "phantoms"
    with Progress() as bars:
        bar = bars.add_task("phantoms", total=count)
        prepare_phantoms(phantoms, count, seed + 1, 0.05, lambda done, _: bars.update(bar, completed=done))
    overrides = {
        "dataset_dir": str(phantoms.resolve()),
        "output_dir": str((work / "models").resolve()),
        "epochs": epochs,
        "image_size": image_size,
        "batch_size": batch_size,
        "seed": seed,
    }
    run = run_bundle_together("vessel_segmentation", processes, ["train.yaml", CONFIG], overrides)
    network: AdaptedSegmenter = run.parser.get_parsed_content("network_def")
    save_encoder(network.stack.encoder, out)
    history = read_history(work / "models" / "history.jsonl")
    scores = {name: history[-1][name] for name in ("val_dice", "val_cldice")}
    card = {
        "what": "SAM 3's vision encoder in miniature, all parameters pretrained on synthetic angiograms",
        "made_by": "python scripts/pretrain_tiny.py",
        "version": __version__,
        "arguments": {
            "count": count,
            "epochs": epochs,
            "image_size": image_size,
            "batch_size": batch_size,
            "seed": seed,
            "processes": processes,
        },
        "training_seconds": round(sum(line["seconds"] for line in history)),
        "scores_on_held_out_phantoms": scores,
        "parameters": sum(p.numel() for p in network.stack.encoder.parameters()),
        "torch": torch.__version__,
        "licence": "Apache-2.0",
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    save_vessel_head(network, out, stage, scores)
    print(f"{out}: {scores}, {time.perf_counter() - started:.0f} s in this call")


def save_vessel_head(network: AdaptedSegmenter, base: Path, folder: Path, scores: dict[str, float]) -> None:
    """Save the vessel's logit of the pretrained head as a stage on the new base, with nothing adapted."""
    encoder = build_encoder("tiny", pretrained=base)
    vessels = build_segmenter(encoder, "view_segmentation", name="vessels", strategy="frozen")
    state = network.head.state_dict()
    state |= {name: state[name][:1] for name in ("classify.weight", "classify.bias")}
    vessels.head = ViewSegmentationHead(vessels.stack.encoder.channels, 1, network.head.width)
    vessels.head.load_state_dict(state)
    save_stage(
        vessels,
        folder,
        task="vessels",
        class_names=["vessel"],
        metrics=scores,
        training_data="synthetic angiograms of this project",
    )


if __name__ == "__main__":
    typer.run(main)
