"""Train a stage within a budget and predict with it, in a process of its own; benchmark.py starts it.

    python scripts/benchmark_cell.py CELL/spec.json

The specification holds the bundle's keys, the budget and the images to predict. All time from the start of the process
to the end of training counts in the budget.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from PIL import Image

from monai_lora_sam.coronary.transforms import LoadAngiogramd
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_file, read_json
from monai_lora_sam.networks import StageNetwork
from monai_lora_sam.stages import load_stage
from monai_lora_sam.transforms import GreyToThreeChannelsd, NormalizeForEncoderd, ResizeLongestSided
from monai_lora_sam.workflows import run_bundle

OVERLAYS = Path(__file__).resolve().parent
#: More epochs than any budget has time for.
ENDLESS = 10**6
HIGHEST_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024


def main(path: Path) -> None:
    """Train, predict, and write `child.json` beside the specification."""
    spec = read_json(path)
    folder = path.parent
    torch.set_num_threads(spec["threads"])
    on_cpu = spec["overrides"]["device"] == "cpu"
    done = folder / "trained.json"
    if not done.is_file():
        before = time.process_time() if on_cpu else time.time() - spec["started"]
        left = spec["minutes"] - before / 60
        if left <= 0:
            raise ValueError(
                f"expected a budget above {spec['minutes']} minutes, found it spent before training"
            )
        figures = train(spec, left)
        spent = time.process_time() if on_cpu else time.time() - spec["started"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * HIGHEST_MEMORY_UNIT
        figures |= {"minutes": spent / 60, "peak_bytes": peak}
        if not on_cpu:
            figures["peak_cuda_bytes"] = torch.cuda.max_memory_allocated()
        write_json(done, figures)
    stage = folder / "models" / "last"
    network = load_stage(stage, pretrained=spec["overrides"]["pretrained"])
    started = time.perf_counter()
    device = spec["overrides"]["device"]
    for index, mask in enumerate(predict(network.to(device).eval(), spec["images"], device)):
        with atomic_file(folder / "predictions" / f"{index:05d}.png") as temporary:
            Image.fromarray(mask).save(temporary)
    seconds = (time.perf_counter() - started) / max(len(spec["images"]), 1)
    size = sum(file.stat().st_size for file in stage.iterdir())
    write_json(folder / "child.json", {**read_json(done), "bytes": size, "seconds_per_image": seconds})


def train(spec: dict[str, Any], minutes: float) -> dict[str, Any]:
    """Train the stage of a specification and return its figures."""
    configs = ["train.yaml", str(OVERLAYS / "benchmark_stage.yaml")]
    if len(spec["overrides"]["class_names"]) > 1:
        configs.append(str(OVERLAYS / "benchmark_classes.yaml"))
    ends = {"epochs": ENDLESS, "val_interval": ENDLESS, "patience": ENDLESS, "max_minutes": minutes}
    workflow = run_bundle("vessel_segmentation", configs, {**spec["overrides"], **ends})
    parser = workflow.parser
    groups = parser.get_parsed_content("optimizer").param_groups
    trained = sum(p.numel() for group in groups for p in group["params"] if p.requires_grad)
    state = parser.get_parsed_content("train#trainer").state
    return {
        "trainable_parameters": trained,
        "iterations": state.iteration,
        "batch_size": parser.get_parsed_content("batch_size"),
    }


def predict(network: StageNetwork, images: list[str], device: str = "cpu") -> Iterator[np.ndarray]:
    """Yield class indices (H, W) of each image at its own size."""
    encoder = network.stack.encoder
    preprocessing = Compose(
        [
            LoadAngiogramd("image"),
            ResizeLongestSided("image", encoder.image_size),
            GreyToThreeChannelsd("image"),
            NormalizeForEncoderd("image", encoder),
        ]
    )
    back = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)
    for image in images:
        item = preprocessing({"image": image})
        with torch.inference_mode():
            logits = network(item["image"][None].to(device))[0].cpu()
        maps = logits.sigmoid() if len(logits) == 1 else logits.softmax(0)
        maps = torch.as_tensor(back({**item, "pred": MetaTensor(maps)})["pred"])
        labels = maps[0] >= 0.5 if len(maps) == 1 else maps.argmax(0)
        yield labels.numpy().astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
