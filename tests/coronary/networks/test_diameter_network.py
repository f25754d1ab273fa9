"""The diameter network: any length, either side alike in shape, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.networks import DiameterNetwork


@pytest.fixture
def network() -> DiameterNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DiameterNetwork(features=(4, 4, 4), along=4, mixed_precision=False).eval()


@pytest.mark.parametrize("rows", [1, 50, 161])
def test_each_row_has_a_diameter_and_an_offset(network: DiameterNetwork, rows: int):
    network.mixed_precision = True
    read = network(torch.rand(2, 3, rows, network.columns))
    assert read.shape == (2, 2, rows) and read.dtype == torch.float32
    assert (read[:, 0] >= 0).all()


def test_what_lies_far_along_the_vessel_does_not_count(network: DiameterNetwork):
    vessel = torch.rand(1, 3, 400, network.columns)
    changed = vessel.clone()
    changed[:, :, 200:] = 0
    with torch.inference_mode():
        same = (network(vessel) == network(changed)).all(dim=1)[0]
    reach = 200 - int(same.to(torch.uint8).argmin())
    # two convolutions at each of three levels, then dilations of 1 to 16: 6 + 31 rows, the last of little weight
    assert 30 < reach <= 37 and same[: 200 - reach].all()


def test_all_of_it_learns(network: DiameterNetwork):
    network.train()(torch.rand(2, 3, 60, network.columns)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_it_is_built_again_from_its_configuration(network: DiameterNetwork):
    again = DiameterNetwork(**network.config, mixed_precision=False).eval()
    again.load_state_dict(network.state_dict())
    vessel = torch.rand(1, 3, 40, network.columns)
    torch.testing.assert_close(again(vessel), network(vessel), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3, 40, 33), (1, 2, 40, 33), (1, 3, 40, 32)])
def test_other_shapes_are_refused(network: DiameterNetwork, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"vessel: expected \(B, 3, L, 33\), found"):
        network(torch.zeros(shape))
