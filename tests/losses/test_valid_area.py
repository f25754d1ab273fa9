"""The valid area on grids of any size."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.losses import valid_area
from monai_lora_sam.losses.valid_area import cell_weights, resize_valid


def test_area_of_each_image() -> None:
    area = valid_area([(2, 3), (4, 1)], (4, 4))
    assert area.shape == (2, 1, 4, 4) and area.sum((1, 2, 3)).tolist() == [6, 4]
    assert area[0, 0, :2, :3].all() and area[1, 0, :, 0].all()


def test_a_cell_counts_by_its_valid_share() -> None:
    """Five of eight rows on a grid of two: the second cell of each column is a quarter image."""
    weights = cell_weights(valid_area([(5, 8)], (8, 8)), torch.zeros(1, 7, 2, 2))
    assert weights[0, 0].tolist() == [[1, 1], [0.25, 0.25]]


def test_a_constant_image_stays_constant_up_to_its_border() -> None:
    weights = cell_weights(valid_area([(5, 8)], (8, 8)), torch.zeros(1, 1, 8, 8))
    maps = torch.where(weights > 0, 3.0, 77.0)
    for side in (2, 4, 16):
        resized = resize_valid(maps, weights, (side, side))
        inside = cell_weights(valid_area([(5, 8)], (8, 8)), resized) > 0
        torch.testing.assert_close(resized[inside], torch.full_like(resized[inside], 3.0))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([], "sizes: expected one of each image"),
        ([(4, 4), (5, 4)], r"sizes\[1\]: .* found \(5, 4\)"),
        ([(0, 1)], "sizes"),
    ],
)
def test_wrong_sizes(sizes: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        valid_area(sizes, (4, 4))
