"""Small promptable networks with random weights, and adapters for them on disk."""

from __future__ import annotations

from collections.abc import Callable
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
def save_adapter(base: Path) -> Callable[..., Path]:
    """Return a function that saves a random adapter with a LoRA decoder; equal seeds give equal weights."""

    def save(folder: Path, name: str, seed: int, **card) -> Path:
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
        return save_stage(network, folder, task="organ", class_names=["organ"], **card)

    return save


@pytest.fixture
def pool(base: Path, save_adapter, tmp_path: Path) -> NetworkPool:
    """Return a pool of the random base and of two adapters, `ct` and `us/1`."""
    save_adapter(tmp_path / "adapters" / "ct", "ct", 1, modality="CT")
    save_adapter(tmp_path / "adapters" / "us" / "1", "us", 2, modality="US")
    return NetworkPool([ENCODER], tmp_path / "adapters", weights={ENCODER: base}, image_sizes={ENCODER: SIDE})


@pytest.fixture
def load(base: Path) -> Callable[[Path | None], PromptableSegmenter]:
    """Return a function that loads the base, or an adapter, alone, as users without a server do."""
    from monai_lora_sam.prompting import load_promptable

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
