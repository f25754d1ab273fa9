"""A stage that needs no prompt loads; an adapter that needs one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.prompting import load_automatic


def test_a_stage_from_before_heads_were_named_loads():
    network, class_names = load_automatic(SHIPPED / "vessels_phantom", device="cpu")
    assert network.head.head_type == "view_segmentation" and class_names == ["vessel"]


def test_an_adapter_without_a_head_needs_a_prompt(tmp_path: Path):
    stack = AdapterStack(build_encoder("tiny", image_size=56))
    stack.add("spleen", r=2)
    stack.save("spleen", tmp_path / "spleen")
    with pytest.raises(ValueError, match="expected a prompt for this adapter"):
        load_automatic(tmp_path / "spleen", device="cpu")
