"""The average shares the frozen part, follows the averages, and refuses those that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import AdaptedSegmenter, averaged_network, build_segmenter


@pytest.fixture
def network() -> AdaptedSegmenter:
    torch.manual_seed(0)
    encoder = build_encoder("tiny", image_size=56)
    return build_segmenter(encoder, width=8, lora={"r": 2}, mixed_precision=False)


def test_it_is_the_network_with_the_averages(network: AdaptedSegmenter):
    trained = nn.ParameterList(p for p in network.parameters() if p.requires_grad)
    averages = [p.detach().clone() for p in trained]
    averaged = averaged_network(network, trained, averages)
    image = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        before = network.eval()(image)
        assert torch.equal(averaged(image), before)
        for average in averages:
            average += 0.1 * torch.randn_like(average)
        moved = averaged(image)
        assert not torch.equal(moved, before) and torch.equal(network(image), before)
        for average, parameter in zip(averages, trained, strict=True):
            parameter.copy_(average)
        assert torch.equal(network(image), moved)
    own = {id(tensor) for tensor in averages}
    shared = {id(p) for p in network.parameters() if not p.requires_grad}
    assert {id(p) for p in averaged.parameters()} == own | shared


def test_averages_that_do_not_fit_are_refused(network: AdaptedSegmenter):
    trained = [p for p in network.parameters() if p.requires_grad]
    with pytest.raises(ValueError, match="averages: expected tensors of the shapes"):
        averaged_network(network, trained, trained[:-1])
    stranger = nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="expected those of the network"):
        averaged_network(network, [stranger], [torch.zeros(2)])
