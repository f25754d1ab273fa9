"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from monai_lora_sam.adapters import AdapterStack
    from monai_lora_sam.encoders import ImageEncoder
    from monai_lora_sam.networks import AdaptedSegmenter, LesionDetector

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images, or skip where it is missing."""
    folder = Path(os.environ.get("MONAI_LORA_SAM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real images are missing: {folder} (set MONAI_LORA_SAM_DATA)")
    return folder


@pytest.fixture
def random_encoder() -> Callable[..., ImageEncoder]:
    """Build the tiny encoder with random weights for 56-pixel images; equal seeds give equal weights."""

    def make(seed: int = 0) -> ImageEncoder:
        from monai_lora_sam.encoders import build_encoder

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_encoder("tiny", image_size=56)

    return make


@pytest.fixture
def random_segmenter(random_encoder) -> Callable[..., AdaptedSegmenter]:
    """Put a narrow stage on the random encoder, in float32; equal seeds give equal weights."""

    def make(strategy: str = "lora", seed: int = 0, **arguments) -> AdaptedSegmenter:
        from monai_lora_sam.networks import build_segmenter

        arguments = {"width": 8, "last_n": 1, "lora": {"r": 2}, "mixed_precision": False} | arguments
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            return build_segmenter(random_encoder(seed), strategy=strategy, **arguments)

    return make


@pytest.fixture
def random_detector(random_segmenter) -> Callable[..., LesionDetector]:
    """Put stages 1 and 2 and a lesion head on the random encoder, in float32; equal seeds, equal weights."""

    def make(strategy: str = "frozen", seed: int = 0) -> LesionDetector:
        from monai_lora_sam.networks import build_detector, build_segmenter

        def move(stack: AdapterStack) -> None:
            for name, parameter in stack.named_parameters():
                if (
                    "lora_B" in name and parameter.requires_grad
                ):  # zero at first: the adapter would do nothing
                    torch.nn.init.normal_(parameter, std=0.05)

        vessels = random_segmenter("lora", seed)
        narrow = {"width": 8, "lora": {"r": 2, "targets": "qkv"}, "mixed_precision": False}
        with torch.random.fork_rng():
            torch.manual_seed(seed + 2)
            move(vessels.stack)
            segments = build_segmenter(vessels.stack, 26, "segments", **narrow)
            move(segments.stack)
            return build_detector(vessels, segments, strategy, width=8, mixed_precision=False)

    return make


def _move(network: torch.nn.Module) -> None:
    """Move what training would move: fresh adapters are zero, so that no version would differ from another."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)


@pytest.fixture(scope="session")
def make_stages() -> Callable[..., SimpleNamespace]:
    """Save a random tiny base for 56 pixels and three random stages on it; equal seeds give equal weights."""

    def make(folder: Path, seed: int = 0) -> SimpleNamespace:
        from monai_lora_sam.anatomy import ARCADE_CLASS_NAMES
        from monai_lora_sam.encoders import build_encoder, save_encoder
        from monai_lora_sam.lesion_stage import new_detector, save_detector
        from monai_lora_sam.stages import new_stage, save_stage

        narrow = {"width": 8, "mixed_precision": False}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            base = save_encoder(build_encoder("tiny", image_size=56), folder / "base")
            first = new_stage(build_encoder("tiny", base, 56), lora={"r": 2}, **narrow)
            _move(first)
            vessels = save_stage(first, folder / "vessels", task="vessels", class_names=["vessel"])
            second = new_stage(
                build_encoder("tiny", base, 56),
                below=[vessels],
                name="segments",
                out_channels=26,
                lora={"r": 2, "targets": "qkv"},
                **narrow,
            )
            _move(second)
            segments = save_stage(
                second, folder / "segments", task="segments", class_names=ARCADE_CLASS_NAMES
            )
            third = new_detector(build_encoder("tiny", base, 56), vessels, segments, **narrow)
            _move(third)
            stenosis = save_detector(third, folder / "stenosis")
        return SimpleNamespace(base=base, vessels=vessels, segments=segments, stenosis=stenosis)

    return make


@pytest.fixture(scope="session")
def stages(
    make_stages: Callable[..., SimpleNamespace], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Return the folders of a random base and of three stages: `base`, `vessels`, `segments`, `stenosis`."""
    return make_stages(tmp_path_factory.mktemp("three"))
