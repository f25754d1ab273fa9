"""The lumen gauge: any length, either side alike in shape, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.networks import LumenGauge


@pytest.fixture
def gauge() -> LumenGauge:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LumenGauge(features=(4, 4, 4), along=4, mixed_precision=False).eval()


@pytest.mark.parametrize("rows", [1, 50, 161])
def test_each_row_has_a_diameter_and_an_offset(gauge: LumenGauge, rows: int):
    gauge.mixed_precision = True
    read = gauge(torch.rand(2, 3, rows, gauge.columns))
    assert read.shape == (2, 2, rows) and read.dtype == torch.float32
    assert (read[:, 0] >= 0).all()


def test_what_lies_far_along_the_vessel_does_not_count(gauge: LumenGauge):
    strip = torch.rand(1, 3, 400, gauge.columns)
    changed = strip.clone()
    changed[:, :, 200:] = 0
    with torch.inference_mode():
        same = (gauge(strip) == gauge(changed)).all(dim=1)[0]
    reach = 200 - int(same.to(torch.uint8).argmin())
    # two convolutions at each of three levels, then dilations of 1 to 16: 6 + 31 rows, the last of little weight
    assert 30 < reach <= 37 and same[: 200 - reach].all()


def test_all_of_it_learns(gauge: LumenGauge):
    gauge.train()(torch.rand(2, 3, 60, gauge.columns)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in gauge.parameters())


def test_it_is_built_again_from_its_configuration(gauge: LumenGauge):
    again = LumenGauge(**gauge.config, mixed_precision=False).eval()
    again.load_state_dict(gauge.state_dict())
    strip = torch.rand(1, 3, 40, gauge.columns)
    torch.testing.assert_close(again(strip), gauge(strip), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3, 40, 33), (1, 2, 40, 33), (1, 3, 40, 32)])
def test_other_shapes_are_refused(gauge: LumenGauge, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"strip: expected \(B, 3, L, 33\), found"):
        gauge(torch.zeros(shape))
