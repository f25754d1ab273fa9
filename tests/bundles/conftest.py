"""A base and a few small pictures on which the bundle trains in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.data import write_datalist


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny encoder with random weights."""
    from monai_lora_sam.encoders import build_encoder, save_encoder

    folder = tmp_path_factory.mktemp("base")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_encoder(build_encoder("tiny", image_size=56), folder)
    return folder


def draw_pictures(folder: Path, training: int, validation: int) -> Path:
    """Write pictures with a dark oblique vessel each, some of them with a view; return the folder."""
    rng = np.random.default_rng(0)
    entries = []
    for index in range(training + validation):
        height, width = (64, 64) if index % 2 else (70, 60)
        rows, columns = np.mgrid[:height, :width]
        angle = rng.uniform(0, np.pi)
        distance = (rows - height / 2) * np.cos(angle) + (columns - width / 2) * np.sin(angle)
        mask = np.abs(distance) < 3
        pixels = np.where(mask, 70, 180) + rng.normal(0, 8, mask.shape)
        image, label = folder / f"{index}.png", folder / f"{index}_label.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(image)
        Image.fromarray(mask.astype(np.uint8)).save(label)
        view = [30.0, -20.0] if index % 2 else None
        entries.append({"image": str(image), "label": str(label), "case_id": str(index), "view": view})
    write_datalist(
        folder / "datalist.json",
        name="lines",
        task="vessels",
        class_names=["background", "vessel"],
        splits={"training": entries[:training], "validation": entries[training:]},
    )
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw four pictures to train on and three, an odd number, to validate on."""
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4, 3)


@pytest.fixture(scope="session")
def settings(base: Path, pictures: Path) -> Callable[..., dict[str, Any]]:
    """Return overrides that make a run of the bundle small; more of them may be given."""

    def make(output: Path, **more: Any) -> dict[str, Any]:
        return {
            "dataset_dir": str(pictures),
            "output_dir": str(output),
            "pretrained": str(base),
            "image_size": 56,
            "head_width": 8,
            "lora#r": 2,
            "epochs": 2,
            "batch_size": 2,
            "learning_rate": 0.01,
            "mixed_precision": False,
            "show_progress": False,
            "device": "cpu",
        } | more

    return make
