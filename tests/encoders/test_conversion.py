"""Finding an encoder among the names of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_lora_sam.encoders import CheckpointForm
from monai_lora_sam.encoders.checkpoints import Checkpoint
from monai_lora_sam.encoders.conversion import find_forms, read_tensors

SAM3 = "backbone.embeddings.patch_embeddings.projection.weight"


def checkpoint(*names: str) -> Checkpoint:
    tensors = {name: torch.zeros(1) for name in names}
    return Checkpoint(
        Path("some.pth"), list(names), lambda keys: {key: tensors[key] for key in keys}, config=None
    )


def test_a_form_gives_its_prefix():
    form = CheckpointForm(r"(?P<prefix>(.*\.)?)stem\.weight")
    found = checkpoint("stem.weight", "module.net.stem.weight", "system.weight", "stem.weight.scale")
    assert [prefix for _, prefix in find_forms(found, [form])] == ["", "module.net."]


def test_only_the_encoders_tensors_are_read_under_its_own_names():
    found = read_tensors(checkpoint(f"vision_encoder.{SAM3}", "detr.weight"), "sam3")
    assert list(found) == [SAM3]
    names = (
        "module.image_encoder.patch_embed.proj.weight",
        "module.image_encoder.blocks.3.norm1.bias",
        "mask.a",
    )
    assert list(read_tensors(checkpoint(*names), "sam_vit_b")) == [
        "patch_embed.projection.weight",
        "layers.3.layer_norm1.bias",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["weight"], "for 'sam_vit_b', found 0 encoders in a known form. Its 1 names begin with: weight"),
        (["a.patch_embed.proj.weight", "b.patch_embed.proj.weight"], "found 2 encoders"),
        (["detector.trunk.patch_embed.proj.weight"], "found 0 encoders"),  # Meta's SAM 3
        ([SAM3], "found family 'sam3', which fits 'sam3' or 'tiny'"),
    ],
)
def test_others_are_refused_by_name(names: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        read_tensors(checkpoint(*names), "sam_vit_b")
