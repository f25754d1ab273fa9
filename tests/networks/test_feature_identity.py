"""The identity of stored features changes with everything that they depend on, and with nothing else."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.networks import AdaptedSegmenter, build_promptable, build_segmenter, feature_identity


@pytest.fixture
def stages(random_encoder):
    """Put stage 2 on stage 1 on one stack, each with an adapter and a head."""

    def make(seed: int = 0) -> tuple[AdaptedSegmenter, AdaptedSegmenter]:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            stack = AdapterStack(random_encoder(seed))
            vessels = build_segmenter(stack, "view_segmentation", name="vessels", width=8, lora={"r": 2})
            segments = build_segmenter(
                stack,
                "view_segmentation",
                out_channels=26,
                name="segments",
                width=8,
                lora={"r": 2, "targets": "qkv"},
            )
        return vessels, segments

    return make


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_equal_networks_have_one_identity(stages):
    assert feature_identity(stages()[1]) == feature_identity(stages()[1])


def test_another_base(stages):
    assert "encoder" in changed(feature_identity(stages(0)[0]), feature_identity(stages(1)[0]))


@pytest.mark.parametrize("name", ["vessels", "segments"])
def test_an_adapter_that_changes(stages, name):
    vessels, segments = stages()
    before = feature_identity(vessels), feature_identity(segments)
    with torch.no_grad():
        next(p for key, p in vessels.stack.named_parameters() if f"lora_B.{name}" in key).add_(1e-4)
    assert changed(before[0], feature_identity(vessels)) == set()  # its own, which trains
    expected = {"adapters of segments"} if name == "vessels" else set()
    assert changed(before[1], feature_identity(segments)) == expected


def test_the_blocks_that_an_adapter_leaves_as_they_are(random_segmenter):
    first, second = (random_segmenter(lora={"r": 2, "layers": layers}) for layers in (None, 1))
    assert changed(feature_identity(first), feature_identity(second)) == {"reads"}


def test_the_head_itself_is_no_part_of_it(stages):
    vessels, _ = stages()
    before = feature_identity(vessels)
    with torch.no_grad():
        next(vessels.head.parameters()).add_(1.0)
    assert feature_identity(vessels) == before


def test_an_encoder_that_was_moved(random_encoder):
    stack = AdapterStack(random_encoder())
    build_segmenter(stack, "view_segmentation", name="old", strategy="last_n", last_n=1, width=8)
    network = build_segmenter(stack, "view_segmentation", name="vessels", strategy="frozen", width=8)
    before = feature_identity(network)
    with torch.no_grad():
        next(stack.encoder.blocks[-1].parameters()).add_(1e-4)
    assert changed(before, feature_identity(network)) == {"encoder moved by old"}


def test_precision(random_segmenter):
    first, second = (random_segmenter("frozen", mixed_precision=mixed) for mixed in (True, False))
    assert changed(feature_identity(first), feature_identity(second)) == {"mixed precision"}


def test_the_side_of_a_promptable_network():
    first = build_promptable("medsam_lite", False, 32)
    small = feature_identity(first)
    assert (small["reads"], small["side"]) == ("embedding", "32")
    first.stack.encoder.image_size = 64
    assert changed(small, feature_identity(first)) == {"side"}
