"""Peaks, boxes and what is read from them, on maps whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch

from monai_lora_sam.coronary.networks import LesionHead
from monai_lora_sam.coronary.networks.lesion_head import find_peaks, jitter_boxes

STRIDE = 3.5


def maps(height: int, width: int) -> dict[str, torch.Tensor]:
    return {
        "heatmap": torch.full((1, 1, height, width), -10.0),
        "offset": torch.zeros(1, 2, height, width),
        "size": torch.zeros(1, 2, height, width),
    }


def test_a_peak_becomes_the_box_that_the_maps_say():
    found = maps(6, 9)
    found["heatmap"][0, 0, 2, 7] = 3.0
    found["offset"][0, :, 2, 7] = torch.tensor([0.25, -0.5])
    found["size"][0, :, 2, 7] = torch.tensor([4.0, 2.0]).log()
    boxes, score = find_peaks(found, STRIDE, 3)
    x, y = (7.5 + 0.25) * STRIDE, (2.5 - 0.5) * STRIDE
    expected = torch.tensor([x - 2 * STRIDE, y - STRIDE, x + 2 * STRIDE, y + STRIDE])
    torch.testing.assert_close(boxes[0, 0], expected)
    assert score[0, 0] == pytest.approx(1 / (1 + math.exp(-3.0)))


def test_the_shoulder_of_a_peak_is_no_peak():
    found = maps(8, 8)
    found["heatmap"][0, 0, 3, 3], found["heatmap"][0, 0, 3, 4], found["heatmap"][0, 0, 6, 6] = 3.0, 2.0, 1.0
    _, score = find_peaks(found, STRIDE, 2)
    torch.testing.assert_close(score[0], torch.tensor([3.0, 1.0]).sigmoid())


def test_more_candidates_than_cells_are_no_boxes():
    boxes, score = find_peaks(maps(1, 2), STRIDE, 5)
    assert boxes.shape == (1, 5, 4)
    assert (boxes.isnan().any(-1) == (score == 0)).all() and (score[0, 2:] == 0).all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 9)])
def test_shapes_on_maps_of_any_size(height: int, width: int):
    head = LesionHead(20, STRIDE, width=8, candidates=7).eval()
    output = head(torch.rand(2, 20, height, width), torch.tensor([[30.0, 0.0], [math.nan, math.nan]]))
    assert output["heatmap"].shape == (2, 1, height, width)
    assert output["offset"].shape == output["size"].shape == (2, 2, height, width)
    assert output["boxes"].shape == (2, 7, 4)
    assert (
        output["score"].shape == output["percent_diameter_stenosis"].shape == output["mld_px"].shape == (2, 7)
    )
    assert (output["percent_diameter_stenosis"] >= 0).all() and (
        output["percent_diameter_stenosis"] <= 100
    ).all()
    assert (output["mld_px"] >= 0).all()


def test_given_boxes_are_read_as_they_are_and_jittered_only_in_training():
    torch.manual_seed(0)
    head = LesionHead(20, STRIDE, width=8)
    read = torch.rand(1, 20, 16, 16)
    boxes = torch.full((1, 3, 8), math.nan)
    boxes[0, 0, :4] = torch.tensor([10.0, 10.0, 30.0, 20.0])
    given = head.eval()(read, boxes=boxes)
    assert torch.equal(given["boxes"][0, 0], boxes[0, 0, :4]) and given["score"].isnan().all()
    assert given["boxes"][0, 1:].isnan().all()
    assert torch.isfinite(given["percent_diameter_stenosis"]).all(), (
        "a row without a box gives a number as well"
    )
    moved = head.train()(read, boxes=boxes)["boxes"][0, 0]
    assert not torch.equal(moved, boxes[0, 0, :4])
    assert (moved - boxes[0, 0, :4]).abs().max() < 0.3 * 20


def test_jitter_stays_within_its_fraction():
    torch.manual_seed(0)
    box = torch.tensor([10.0, 20.0, 30.0, 60.0]).expand(1000, 4)
    moved = jitter_boxes(box, 0.1)
    centre, sides = 0.5 * (moved[:, :2] + moved[:, 2:]), moved[:, 2:] - moved[:, :2]
    assert (centre - torch.tensor([20.0, 40.0])).abs().amax(0).tolist() <= [2.0, 4.0]
    ratio = sides / torch.tensor([20.0, 40.0])
    assert 0.9 - 1e-6 <= ratio.min() < 0.91 and 1.09 < ratio.max() <= 1.1 + 1e-6


def test_what_lies_off_the_vessel_does_not_count():
    """The pooled mean is weighted: features change where the vessel's probability is next to nothing."""
    torch.manual_seed(0)
    head = LesionHead(20, STRIDE, width=8).eval()
    trunk, probability = torch.rand(1, 8, 16, 16), torch.zeros(1, 16, 16, 16)
    probability[..., 8:, :] = 1.0
    box = torch.tensor([[[3.5, 28.0, 52.5, 56.0]]])  # rows 8 to 16 of the map: vessel alone
    percent, mld = head._measure(trunk, probability, box)
    changed = trunk.clone()
    changed[..., :7, :] += 10.0
    again, mld_again = head._measure(changed, probability, box)
    torch.testing.assert_close((percent, mld), (again, mld_again))
    whole = torch.tensor([[[3.5, 3.5, 52.5, 52.5]]])
    weighted = head._measure(trunk, probability, whole)[0]
    even = head._measure(trunk, torch.ones_like(probability), whole)[0]
    assert not torch.allclose(weighted, even)


def test_about_five_million_parameters_at_the_size_of_sam_3():
    with torch.device("meta"):
        head = LesionHead(2 * 256 + 26 + 32, STRIDE, width=256)
    assert 4.5e6 < sum(parameter.numel() for parameter in head.parameters()) < 5.5e6


def test_the_configuration_builds_the_head_again():
    head = LesionHead(20, STRIDE, width=8, candidates=5)
    LesionHead(**head.config).load_state_dict(head.state_dict())


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"expected a map \(B, 20, h, w\), found shape \(1, 19, 4, 4\)"):
        LesionHead(20, STRIDE, width=8)(torch.rand(1, 19, 4, 4))
