"""A small promptable network with random weights, and pictures with one bright disc each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.utils import set_determinism
from PIL import Image

from monai_lora_sam.adaptation import AdaptationRequest
from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.encoders.timm_pyramid import TimmPyramidConfig, TimmPyramidEncoder
from monai_lora_sam.networks import PromptableSegmenter, PromptHead


@pytest.fixture(scope="module", autouse=True)
def unseeded() -> Iterator[None]:
    """Leave the generators unseeded for other tests."""
    yield
    set_determinism(None)


@pytest.fixture(scope="session")
def promptable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a promptable network on a small backbone with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        encoder = TimmPyramidEncoder(TimmPyramidConfig("mobilenetv3_small_050", own_range=True), "mini", 64)
        network = PromptableSegmenter.new(
            AdapterStack(encoder.eval()),
            PromptHead,
            {},
            strategy="frozen",
            decoder="frozen",
            pretrained=False,
        )
    return network.save_pretrained(tmp_path_factory.mktemp("promptable") / "network")


def write_pictures(folder: Path, count: int, seed: int = 0) -> tuple[Path, Path]:
    """Write pictures of several sizes, grey or colour, with their masks of 0/255; return both folders."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(count):
        height, width = (48, 64) if index % 2 else (70, 56)
        rows, columns = np.mgrid[:height, :width]
        centre = rng.uniform(0.35, 0.65, 2) * (height, width)
        mask = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < rng.uniform(9, 15) ** 2
        pixels = (np.where(mask, 190, 70) + rng.normal(0, 12, mask.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(np.dstack([pixels] * 3) if index % 3 == 0 else pixels).save(images / f"{index}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(masks / f"{index}.png")
    return images, masks


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Draw eight pictures; return the folders of images and masks."""
    return write_pictures(tmp_path_factory.mktemp("discs"), 8)


@pytest.fixture(scope="session")
def draw_discs() -> Callable[..., tuple[Path, Path]]:
    return write_pictures


@pytest.fixture(scope="session")
def small_request(promptable: Path) -> Callable[..., AdaptationRequest]:
    """Return a function that makes a request of one epoch on the small network; more keys may be given."""

    def make(out: Path, images: Path, masks: Path | None, **more: Any) -> AdaptationRequest:
        keys = {
            "encoder_name": "mini",
            "pretrained": str(promptable),
            "image_size": 64,
            "batch_size": 2,
            "epochs": 1,
            "mixed_precision": False,
            "show_progress": False,
            "lora::r": 2,
            **({} if more.get("automatic") else {"prompts_per_image": 1, "rounds": 0}),
            **more.pop("keys", {}),
        }
        return AdaptationRequest(
            images, masks, more.pop("name", "discs"), out, device="cpu", keys=keys, **more
        )

    return make
