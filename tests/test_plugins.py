"""A package that this one knows nothing of adds an encoder and a head by its entry points alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from monai_lora_sam.encoders import ENCODERS, build_encoder, save_encoder
from monai_lora_sam.networks import HEADS, build_segmenter
from monai_lora_sam.stages import load_stage, new_stage, save_stage

ENTRY_POINTS = """
[monai_lora_sam.encoders]
toy = toy:ENCODER

[monai_lora_sam.heads]
toy = toy:HEAD
"""

MODULE = """
from pathlib import Path

from torch import nn
from torch.nn import functional

from monai_lora_sam.encoders import EncoderEntry, ImageEncoder
from monai_lora_sam.networks import AdaptedSegmenter, HeadEntry


class ToyEncoder(ImageEncoder):
    family = "toy"

    def __init__(self, config, name="toy", image_size=None):
        width = config["width"]
        blocks = [nn.ModuleDict({"mix": nn.Conv2d(width, width, 1)}) for _ in range(2)]
        model = nn.ModuleDict({"patch": nn.Conv2d(3, width, 4, stride=4), "blocks": nn.ModuleList(blocks)})
        super().__init__(
            model, name=name, image_size=image_size or 32, patch_size=4, strides=[4], channels=[width],
            pixel_mean=(0.5, 0.5, 0.5), pixel_std=(0.5, 0.5, 0.5),
        )

    @property
    def blocks(self):
        return self.model["blocks"]

    def encode(self, image):
        hidden = self.model["patch"](image)
        for block in self.blocks:
            hidden = functional.gelu(self.run_block(block["mix"], hidden))
        return [hidden]


class ToyHead(nn.Module):
    head_type = "toy"

    def __init__(self, channels, out_channels, width=None):
        super().__init__()
        self.config = {"channels": list(channels), "out_channels": out_channels, "width": width}
        self.out_channels = out_channels
        self.classify = nn.Conv2d(channels[0], out_channels, 1)

    def forward(self, features, image):
        return functional.interpolate(self.classify(features[0]), size=image.shape[-2:])


ENCODER = EncoderEntry(
    encoder=ToyEncoder,
    config=lambda: {"width": 8},
    weights=Path(__file__).with_name("toy_weights") / "model.safetensors",
    targets={"all": ("mix",)},
)
HEAD = HeadEntry(ToyHead, AdaptedSegmenter)
"""


@pytest.fixture
def toy_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the distribution ``toy`` 1.0 into a folder on the path of modules."""
    site = tmp_path / "site"
    metadata = site / "toy-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "toy.py").write_text(MODULE)
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("toy", None)


def test_a_toy_encoder_and_a_toy_head_are_found(toy_distribution: Path):
    assert "toy" in ENCODERS.names() and "toy" in HEADS.names()


def test_they_are_built_adapted_trained_saved_and_loaded(toy_distribution: Path, tmp_path: Path):
    torch.manual_seed(0)
    save_encoder(build_encoder("toy"), toy_distribution / "toy_weights")
    network = new_stage(
        build_encoder("toy", pretrained=True),
        head="toy",
        name="liver",
        lora={"r": 2, "targets": "all", "layers": 1},
        mixed_precision=False,
    )
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = network.eval()(image)
    optimiser = torch.optim.Adam(network.parameter_groups(0.1, 0.1))
    network.train()(image).square().mean().backward()
    optimiser.step()
    adapted = [name for name, p in network.stack.named_parameters() if p.requires_grad]
    assert len(adapted) == 2 and all(".blocks.1.mix.lora_" in name for name in adapted)
    with torch.no_grad():
        expected = network.eval()(image)
    assert expected.shape == (2, 1, 32, 32) and not torch.equal(before, expected)

    save_stage(network, tmp_path / "liver", task="liver", class_names=["liver"])
    again = load_stage(tmp_path / "liver", mixed_precision=False)
    with torch.no_grad():
        assert torch.equal(again(image), expected)


def test_another_base_of_the_toy_is_refused(toy_distribution: Path, tmp_path: Path):
    network = build_segmenter(build_encoder("toy"), "toy", strategy="frozen")
    save_stage(network, tmp_path / "liver", task="liver", class_names=["liver"])
    with pytest.raises(ValueError, match="expected the base it was trained on, toy"):
        load_stage(tmp_path / "liver", build_encoder("toy"))


def test_without_the_distribution_the_names_are_unknown():
    with pytest.raises(ValueError, match="found 'toy'"):
        build_encoder("toy")
