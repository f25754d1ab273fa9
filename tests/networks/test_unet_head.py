"""The U-Net's decoder as a head: shapes, skips, a stage that trains, saves and loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import UNetHead, build_head, build_segmenter, head_card
from monai_lora_sam.stages import load_stage, save_stage


def test_any_size_and_ratio_of_levels():
    head = UNetHead((16, 24, 40), out_channels=3)
    levels = [torch.rand(2, c, *side) for c, side in ((16, (17, 20)), (24, (9, 10)), (40, (3, 3)))]
    assert head(levels, torch.rand(2, 3, 33, 41)).shape == (2, 3, 33, 41)


def test_every_level_and_the_image_reach_the_output():
    head = UNetHead((8, 8), out_channels=1, width=8).eval()
    inputs = [torch.rand(1, 8, 8, 8), torch.rand(1, 8, 4, 4), torch.rand(1, 3, 16, 16)]
    for tensor in inputs:
        tensor.requires_grad_()
    head(inputs[:2], inputs[2]).sum().backward()
    assert all(tensor.grad.abs().max() > 0 for tensor in inputs)


def test_parameters_are_those_of_the_convolutions():
    head = UNetHead((16, 24), out_channels=1, width=16)
    # Steps of 8 and of 16 channels; two 3 x 3 convolutions with group normalisation each; classification.
    fine = 9 * (16 + 3) * 8 + 9 * 8 * 8 + 4 * 8
    coarse = 9 * (24 + 16) * 16 + 9 * 16 * 16 + 4 * 16
    assert sum(p.numel() for p in head.parameters()) == fine + coarse + 9


def test_a_full_stage_comes_back_from_disk(tmp_path: Path):
    torch.manual_seed(0)
    base = build_encoder("tiny", image_size=56)
    network = build_segmenter(base, "unet", strategy="full", width=8, mixed_precision=False)
    image = torch.rand(1, 3, 56, 56)
    network(image).sum().backward()
    assert all(p.grad is not None for p in network.head.parameters())
    assert build_head(head_card(network.head)).width == 8
    torch.manual_seed(0)
    fresh = build_encoder("tiny", image_size=56)
    save_stage(network.eval(), tmp_path / "stage", task="vessels", class_names=["vessel"])
    loaded = load_stage(tmp_path / "stage", fresh, mixed_precision=False).eval()
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))


def test_wrong_levels_widths_and_conditions_are_refused():
    with pytest.raises(ValueError, match="width: expected a multiple of 8, found 12"):
        UNetHead((8, 8), 1, width=12)
    head = UNetHead((8, 8), 1)
    level = torch.rand(1, 8, 4, 4)
    with pytest.raises(ValueError, match="expected 2 pyramid levels, found 1"):
        head([level], torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="expected no 'view'"):
        head([level, level], torch.rand(1, 3, 8, 8), view=torch.zeros(1, 2))
