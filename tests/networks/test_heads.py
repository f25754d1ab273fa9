"""Heads found and built by name."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.networks import (
    HEADS,
    LEVEL_DEVIATION,
    SEGMENTATION,
    SegmentationHead,
    build_head,
    build_segmenter,
    head_card,
)


def test_a_card_builds_the_head_again():
    head = SegmentationHead(channels=(8, 16), out_channels=2, width=8)
    card = head_card(head)
    arguments = {"channels": [8, 16], "out_channels": 2, "width": 8, "level_deviation": LEVEL_DEVIATION}
    assert card == {"type": "segmentation", **arguments}
    again = build_head(card)
    again.load_state_dict(head.state_dict())
    levels = [torch.rand(1, 8, 4, 4), torch.rand(1, 16, 2, 2)]
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(again(levels, image), head(levels, image))


def test_the_entry_is_found_by_the_heads_own_type():
    assert HEADS.load(SegmentationHead.head_type) is SEGMENTATION


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"type": "segmentatoin"}, "nearest: 'segmentation'"),
        ({"type": "segmentation", "depth": 3}, "expected its own arguments, found {'depth': 3}"),
        ({"type": "segmentation"}, "expected its own arguments, found {}"),
    ],
)
def test_unknown_types_and_arguments_are_refused(card, message):
    with pytest.raises(ValueError, match=message):
        build_head(card)


def test_a_head_without_masks_makes_no_segmenter(random_encoder):
    with pytest.raises(ValueError, match="'lesions': expected one of a segmenter"):
        build_segmenter(random_encoder(), "lesions")
