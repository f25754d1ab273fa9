"""Smoothed centrelines against the circles and lines that were digitised."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree.centreline import SPACING_PX, smooth_centreline


def test_a_digitised_circle():
    angles = np.linspace(0, 2 * np.pi, 181)
    path = np.rint(50 + 30 * np.column_stack([np.sin(angles), np.cos(angles)]))
    points, length = smooth_centreline(path, closed=True)
    assert length == pytest.approx(2 * np.pi * 30, rel=0.02)
    np.testing.assert_allclose(np.linalg.norm(points - 50, axis=1), 30, atol=0.8)
    np.testing.assert_allclose(points[0], points[-1], atol=1e-6)


def test_a_staircase_is_a_straight_line_in_equal_steps():
    path = np.array([[row // 3, row] for row in range(61)], dtype=float)
    points, length = smooth_centreline(path)
    assert length == pytest.approx(np.hypot(20, 60), rel=0.01)
    np.testing.assert_allclose(points[[0, -1]], path[[0, -1]], atol=0.2)
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), SPACING_PX, rtol=0.02)


def test_points_on_top_of_each_other_have_no_length():
    points, length = smooth_centreline(np.array([[3.0, 4.0], [3.0, 4.0]]))
    assert length == 0.0 and points.tolist() == [[3.0, 4.0]]
