"""Small promptable networks with random weights, and adapters for them on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import PromptableSegmenter, build_promptable
from monai_lora_sam.serving import NetworkPool
from monai_lora_sam.stages import new_stage, save_stage

ENCODER, SIDE = "medsam_lite", 64


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a promptable network with random weights, float32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_promptable(ENCODER, pretrained=False, image_size=SIDE, mixed_precision=False)
    return network.save_pretrained(tmp_path_factory.mktemp("base") / ENCODER)


@pytest.fixture(scope="session")
def save_adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that saves a random adapter with a LoRA decoder; equal seeds give equal weights."""
    made = tmp_path_factory.mktemp("made")

    def save(folder: Path, name: str, seed: int, modality: str = "") -> Path:
        kept = made / f"{name}_{seed}_{modality}"
        if not kept.exists():
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                network = new_stage(
                    build_encoder(ENCODER, base, SIDE),
                    head="prompts",
                    name=name,
                    lora={"r": 2},
                    decoder="lora",
                    pretrained=base,
                )
                for parameter in network.parameters():
                    if parameter.requires_grad:
                        parameter.data += 0.2 * torch.randn_like(parameter)
            save_stage(network, kept, task="organ", class_names=["organ"], modality=modality)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        return folder

    return save


@pytest.fixture(scope="session")
def make_pool(base: Path, save_adapter: Callable[..., Path]) -> Callable[[Path], NetworkPool]:
    """Return a function that makes a pool of the random base and of two adapters in a folder, `ct` and `us/1`."""

    def make(folder: Path) -> NetworkPool:
        save_adapter(folder / "ct", "ct", 1, "CT")
        save_adapter(folder / "us" / "1", "us", 2, "US")
        return NetworkPool(
            [ENCODER], folder, weights={ENCODER: base}, image_sizes={ENCODER: SIDE}, device="cpu"
        )

    return make


@pytest.fixture
def pool(make_pool: Callable[[Path], NetworkPool], tmp_path: Path) -> NetworkPool:
    """Return a pool whose folder the test may change."""
    return make_pool(tmp_path / "adapters")


@pytest.fixture(scope="session")
def shared_pool(
    make_pool: Callable[[Path], NetworkPool], tmp_path_factory: pytest.TempPathFactory
) -> NetworkPool:
    """Return a pool whose folder stays as it is."""
    return make_pool(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def load(base: Path) -> Callable[[Path | None], PromptableSegmenter]:
    """Return a function that loads the base, or an adapter, alone, as users without a server do."""
    from monai_lora_sam.prompting import load_promptable

    @cache
    def one(adapter: Path | None = None) -> PromptableSegmenter:
        return load_promptable(None if adapter else ENCODER, base, adapter=adapter, device="cpu")

    return one


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Return three images of other sizes and content, (H, W, 3)."""
    generator = np.random.default_rng(0)
    return [
        generator.random((height, width, 3), dtype=np.float32)
        for height, width in ((64, 64), (48, 80), (70, 50))
    ]
