"""The head that knows the view: names of parameters on disk, and the view's effect."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.networks import ViewSegmentationHead
from monai_lora_sam.networks import SegmentationHead


def head() -> ViewSegmentationHead:
    torch.manual_seed(0)
    return ViewSegmentationHead((8, 8), 1).eval()


def test_parameters_have_the_names_of_stages_on_disk():
    names = set(head().state_dict())
    assert {"view_encoder.neutral", "film.project.weight"} <= names
    assert not any(name.startswith("conditioning") for name in names)
    again = ViewSegmentationHead((8, 8), 1)
    again.load_state_dict(head().state_dict(), strict=True)
    assert torch.equal(again.conditioning.film.project.weight, head().conditioning.film.project.weight)


def test_names_hold_inside_a_larger_network():
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = head()

    state = Network().state_dict()
    assert "head.film.project.bias" in state
    Network().load_state_dict(state, strict=True)


def test_the_view_acts_and_only_where_there_is_a_conditioning():
    levels, image = [torch.rand(1, 8, 8, 8), torch.rand(1, 8, 4, 4)], torch.rand(1, 3, 28, 28)
    network, view = head(), torch.tensor([[30.0, -20.0]])
    assert not torch.equal(network(levels, image), network(levels, image, view=view))
    plain = SegmentationHead((8, 8), 1)
    with pytest.raises(ValueError, match="expected no 'view': this head takes no conditions"):
        plain(levels, image, view=view)
    assert plain(levels, image, view=None).shape == (1, 1, 28, 28)
