"""The named encoders: their sizes, their counts of parameters, and bad requests."""

from __future__ import annotations

import runpy
import sys

import pytest
import torch
from transformers import Sam3Config, Sam3Model, Sam3VisionModel, SamConfig, SamModel

from monai_lora_sam.encoders import ENCODERS, build_encoder


def millions(module):
    return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 1)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_full_size_encoders_build_and_run_on_the_meta_device(name):
    with torch.device("meta"):
        encoder = build_encoder(name)
        size = encoder.image_size
        levels = encoder(torch.zeros(1, 3, size, size))
    assert [tuple(level.shape) for level in levels] == [
        (1, channels, int(size / stride), int(size / stride))
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]


def test_sam3_has_the_published_counts():
    with torch.device("meta"):
        whole = Sam3Model(Sam3Config())
        encoder = build_encoder("sam3")
    assert millions(whole) == 840.4
    assert millions(encoder) == 454.0
    expected = {key: value.shape for key, value in whole.vision_encoder.state_dict().items()}
    assert {key: value.shape for key, value in encoder.model.state_dict().items()} == expected


@pytest.mark.parametrize(("name", "count"), [("sam_vit_b", 93.7), ("sam_vit_l", 312.3), ("sam_vit_h", 641.1)])
def test_sam_has_the_published_counts(name, count):
    with torch.device("meta"):
        encoder = build_encoder(name)
        whole = SamModel(SamConfig(vision_config=encoder.model.config.to_dict()))
    assert millions(whole) == count
    rest = sum(
        parameter.numel()
        for key, parameter in whole.named_parameters()
        if not key.startswith("vision_encoder.")
    )
    assert sum(parameter.numel() for parameter in encoder.parameters()) == (
        sum(parameter.numel() for parameter in whole.parameters()) - rest
    )


def test_tiny_is_sam3_in_miniature_and_fits_git():
    encoder = build_encoder("tiny")
    assert isinstance(encoder.model, Sam3VisionModel)
    assert sum(parameter.numel() * 4 for parameter in encoder.parameters()) < 10e6
    windows = [block.window_size for block in encoder.blocks]
    assert windows[-1] == 0 and 0 in windows[:-1] and max(windows) > 0
    assert (encoder.patch_size, encoder.strides) == (14, (3.5, 7.0, 14.0, 28.0))


def test_tiny_equals_transformers_at_its_size():
    encoder = build_encoder("tiny")
    model = Sam3VisionModel(ENCODERS.load("tiny").config()).eval()
    model.load_state_dict(encoder.model.state_dict())
    image = torch.randn(1, 3, encoder.image_size, encoder.image_size)
    with torch.no_grad():
        expected = model(image).fpn_hidden_states
        assert all(torch.equal(a, b) for a, b in zip(encoder(image), expected, strict=True))


def test_random_weights_follow_the_global_seed_alone():
    fingerprints = set()
    for _ in range(2):
        torch.manual_seed(5)
        fingerprints.add(build_encoder("tiny").fingerprint)
    assert len(fingerprints) == 1
    assert build_encoder("tiny").fingerprint not in fingerprints


def test_options_are_applied():
    encoder = build_encoder("tiny", image_size=252, dtype=torch.bfloat16, gradient_checkpointing=True)
    assert encoder.image_size == 252
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.bfloat16}
    assert encoder.gradient_checkpointing and not encoder.training


def test_bad_requests_name_what_is_possible():
    with pytest.raises(
        ValueError,
        match=r"'sam3', 'sam_vit_b', 'sam_vit_h', 'sam_vit_l', 'tiny'\], found 'sam4' \(nearest: 'sam3'\)",
    ):
        build_encoder("sam4")
    with pytest.raises(ValueError, match="490 or 504"):
        build_encoder("tiny", image_size=500)


def test_table_is_printed_by_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["monai_lora_sam.encoders"])
    runpy.run_module("monai_lora_sam.encoders", run_name="__main__")
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ENCODERS.names()
    assert "454.0 M" in next(row for row in rows if "`sam3`" in row)
