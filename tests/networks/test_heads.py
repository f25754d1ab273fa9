"""Heads by name: built from their cards, and refused with arguments that are not theirs."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.networks import HEADS, AdaptedSegmenter, build_head, head_card


@pytest.mark.parametrize("name", ["segmentation", "view_segmentation", "lesions"])
def test_a_head_is_built_again_from_its_card(name: str):
    arguments = (
        {"in_channels": 20, "stride": 3.5} if name == "lesions" else {"channels": [8, 8], "out_channels": 2}
    )
    head = build_head({"type": name, **arguments, "width": 8})
    card = head_card(head)
    assert card["type"] == name and card["width"] == 8
    again = build_head(card)
    assert type(again) is type(head) is HEADS.load(name).head
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == {
        key: tensor.shape for key, tensor in head.state_dict().items()
    }
    again.load_state_dict(head.state_dict())
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in head.state_dict().items())


def test_an_entry_names_the_network():
    assert HEADS.load("segmentation").network is AdaptedSegmenter


def test_unknown_heads_and_arguments():
    with pytest.raises(
        ValueError, match=r"head: expected one of .*found 'segmentatoin'.*nearest: 'segmentation'"
    ):
        build_head({"type": "segmentatoin"})
    with pytest.raises(ValueError, match="head 'segmentation': expected its own arguments, found"):
        build_head({"type": "segmentation", "stride": 4})
