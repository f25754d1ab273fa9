"""The polyline against circles and straight lines, whose lengths and directions are known."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.polyline import Polyline

ANGLES = np.linspace(0.0, np.pi, 2001)
HALF_CIRCLE = Polyline(10.0 * np.column_stack([np.sin(ANGLES), np.cos(ANGLES)]))


def test_length_of_half_a_circle():
    assert HALF_CIRCLE.length == pytest.approx(10.0 * np.pi, rel=1e-6)
    assert HALF_CIRCLE.arc_length[0] == 0.0 and len(HALF_CIRCLE.arc_length) == 2001


def test_points_at_distances_along_it():
    middle = HALF_CIRCLE.at(5.0 * np.pi)
    np.testing.assert_allclose(middle, [10.0, 0.0], atol=1e-4)
    ends = HALF_CIRCLE.at(np.array([-1.0, 100.0]))
    np.testing.assert_allclose(ends, HALF_CIRCLE.points[[0, -1]])


def test_equal_steps_keep_both_ends():
    again = HALF_CIRCLE.resample(0.5)
    np.testing.assert_allclose(again.points[[0, -1]], HALF_CIRCLE.points[[0, -1]], atol=1e-9)
    steps = np.diff(again.arc_length)
    assert len(steps) == 63 and np.allclose(steps, 10.0 * np.pi / 63, rtol=1e-3)


def test_directions_of_a_circle_are_across_its_radius():
    radius = HALF_CIRCLE.points / 10.0
    inner = slice(1, -1)
    np.testing.assert_allclose((HALF_CIRCLE.tangents * radius).sum(axis=1)[inner], 0.0, atol=1e-6)
    np.testing.assert_allclose(np.abs((HALF_CIRCLE.normals * radius).sum(axis=1)), 1.0, atol=1e-5)


def test_a_closed_line_has_no_ends():
    angles = np.linspace(0.0, 2 * np.pi, 100, endpoint=False)
    circle = np.column_stack([np.sin(angles), np.cos(angles)])
    np.testing.assert_allclose((Polyline(circle, closed=True).tangents * circle).sum(axis=1), 0.0, atol=1e-12)
    assert abs((Polyline(circle).tangents * circle).sum(axis=1)[0]) > 1e-3


def test_one_point_has_no_length_and_no_direction():
    point = Polyline(np.array([[2.0, 3.0]]))
    assert point.length == 0.0 and not point.tangents.any()
    assert point.at(1.0).tolist() == [2.0, 3.0]
