"""Entries of encoders, found by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monai_lora_sam.encoders import ENCODERS, EncoderEntry

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["sam3", "sam_vit_b", "sam_vit_h", "sam_vit_l", "tiny"])
def test_an_entry_holds_everything_about_its_encoder(name: str):
    entry: EncoderEntry = ENCODERS.load(name)
    with torch.device("meta"):
        encoder = entry.build(name, image_size=112)
    assert (encoder.name, encoder.family, encoder.image_size) == (name, entry.family, 112)
    layers = dict(encoder.blocks[0].named_modules())
    for preset, targets in entry.targets.items():
        assert all(isinstance(layers[target], torch.nn.Linear) for target in targets), preset
    assert entry.dimensions(encoder.model.config) == entry.dimensions(entry.config())


def test_width_and_depth_tell_the_encoders_of_a_class_apart():
    entries = [ENCODERS.load(name) for name in ENCODERS.names()]
    known = {(entry.encoder, entry.dimensions(entry.config())) for entry in entries}
    assert len(known) == len(entries)


def test_importing_and_listing_them_loads_no_model():
    code = (
        "import sys; from monai_lora_sam.encoders import ENCODERS; assert 'sam3' in ENCODERS.names(); "
        "sys.exit('transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r"found 'sam_vit_x' \(nearest: 'sam_vit_[bhl]'\)"):
        ENCODERS.load("sam_vit_x")
