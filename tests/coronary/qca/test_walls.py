"""Walls on lines across a centreline."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.qca.walls import half_widths


def band(width: float, blur: float = 0.0, rows: int = 60, middle: float = 30.0) -> np.ndarray:
    """Return a horizontal vessel: the part of each pixel that it covers, blurred."""
    fine = (np.arange(rows * 20) + 0.5) / 20 - 0.5
    column = (np.abs(fine - middle) <= width / 2).reshape(rows, 20).mean(axis=1)
    column = gaussian_filter1d(column, blur) if blur else column
    return np.repeat(column[:, None], 40, axis=1).astype(np.float32)


def at(row: float) -> tuple[np.ndarray, np.ndarray]:
    points = np.column_stack([np.full(21, row), np.linspace(10, 30, 21)])
    return points, Polyline(points).normals


@pytest.mark.parametrize("width", [3.0, 7.3, 15.0])
@pytest.mark.parametrize("blur", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("beside", [0.0, 0.8])
def test_the_width_does_not_depend_on_blur_or_on_where_the_line_runs(width, blur, beside):
    sides = half_widths(band(width, blur), *at(30.0 + beside))
    assert sides.sum(axis=0) == pytest.approx(width, abs=0.15)
    if not blur:
        assert np.abs(sides[1] - sides[0]) / 2 == pytest.approx(beside, abs=0.15)


@pytest.mark.parametrize("width", [0.6, 1.0, 1.6])
@pytest.mark.parametrize("beside", [0.0, 0.6, 1.5])
def test_a_lumen_below_one_half_is_seen_whole_from_beside_it(width, beside):
    soft = band(width, blur=1.0)
    assert soft.max() < 0.6
    assert half_widths(soft, *at(30.0 + beside)).sum(axis=0) == pytest.approx(width, abs=0.15)


def test_a_neighbour_is_not_counted():
    two = np.maximum(band(5.0, 1.0, middle=25.0), band(5.0, 1.0, middle=34.0))
    assert half_widths(two, *at(25.0)).sum(axis=0) == pytest.approx(5.0, abs=0.3)


def test_no_vessel_and_no_wall():
    assert half_widths(np.zeros((60, 40), np.float32), *at(30.0)).sum(axis=0) == pytest.approx(0)
    assert np.isnan(half_widths(np.ones((60, 40), np.float32), *at(30.0))).all()
