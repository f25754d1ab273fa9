"""A vessel laid out straight: its grey values, its scale, and the way back to the vessel's points."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.pipeline.straightened_vessel import SAMPLES, straighten_vessel
from monai_lora_sam.coronary.polyline import Polyline


def ring(radius: float, width: float, size: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Draw a round vessel around the middle: picture (dark on 0.8) and mask."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    inside = np.clip(width / 2 + 0.5 - np.abs(np.hypot(rows, columns) - radius), 0, 1)
    return 0.8 - 0.5 * inside, inside


def course(radius: float, size: int = 240) -> np.ndarray:
    angle = np.arange(0, np.pi, 0.5 / radius)
    return radius * np.column_stack([np.sin(angle), np.cos(angle)]) + (size - 1) / 2


@pytest.mark.parametrize("width", [4.0, 10.0, 24.0])
def test_a_bent_vessel_becomes_a_straight_one_of_eight_samples(width: float):
    image, mask = ring(70, width)
    points = course(70)
    trusted = np.full(len(points), True)
    vessel = straighten_vessel(
        image, mask, points, Polyline(points).normals, np.full(len(points), width), trusted
    )
    grey, chance, scale = vessel.values
    assert grey.shape[1] == 33 and scale == pytest.approx(np.full_like(scale, np.log(width)))
    assert len(vessel.at) == pytest.approx(np.pi * 70 * SAMPLES / width + 1, abs=1)
    # away from the ends every row is the same: background 0, vessel -1, as wide as eight samples
    rows = chance[8:-8]
    assert rows.sum(axis=1) == pytest.approx(np.full(len(rows), SAMPLES), abs=0.7)
    assert grey[8:-8, 16] == pytest.approx(np.full(len(rows), -1), abs=0.1)
    assert grey[8:-8, [1, -2]] == pytest.approx(np.zeros((len(rows), 2)), abs=0.05)


def test_what_is_known_of_rows_goes_back_to_points():
    image, mask = ring(70, 6.0)
    points = course(70)
    trusted = np.full(len(points), True)
    vessel = straighten_vessel(
        image, mask, points, Polyline(points).normals, np.full(len(points), 6.0), trusted
    )
    arc = np.linspace(0, 1, len(vessel.at))
    assert vessel.to_points(arc, len(points)) == pytest.approx(np.linspace(0, 1, len(points)), abs=0.01)


def test_grey_scale_and_offset_of_the_picture_do_not_matter():
    image, mask = ring(70, 6.0)
    points = course(70)
    arguments = (
        mask,
        points,
        Polyline(points).normals,
        np.full(len(points), 6.0),
        np.full(len(points), True),
    )
    one, other = straighten_vessel(image, *arguments), straighten_vessel(40 + 100 * image, *arguments)
    np.testing.assert_allclose(one.values, other.values, atol=1e-3)


def test_a_vessel_at_the_picture_s_border_and_a_flat_picture_give_finite_values():
    points = np.column_stack([np.full(60, 1.0), np.arange(0, 30, 0.5)])
    widths, trusted = np.full(60, 6.0), np.full(60, True)
    vessel = straighten_vessel(
        np.zeros((40, 40)), np.ones((40, 40)), points, Polyline(points).normals, widths, trusted
    )
    assert np.isfinite(vessel.values).all()
