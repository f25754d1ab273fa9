"""Points on the heart against its ellipsoid, and paths against their control points."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom.heart import SAMPLE_STEP_MM, draw_heart, smooth_path, unit

HEART = draw_heart(np.random.default_rng(3))


def test_axes_are_orthonormal_and_the_apex_points_left_front_and_down():
    axes = np.array([HEART.apex_axis, HEART.lateral_axis, HEART.upper_axis])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    x, y, z = HEART.apex_axis
    assert x > 0 > y and z < 0


def test_the_apex_lies_at_the_heart_s_length():
    np.testing.assert_allclose(HEART.surface(90.0, 40.0), HEART.length_mm * HEART.apex_axis, atol=1e-9)


def test_the_right_side_is_wider_than_the_left():
    right, left = (np.linalg.norm(HEART.surface(0.0, longitude)) for longitude in (195.0, 15.0))
    assert right / left == pytest.approx(1.16, abs=1e-3)


def test_a_path_without_chance_passes_its_control_points_in_even_steps():
    control = np.array([[0.0, 0.0, 0.0], [20.0, 0.0, 0.0], [40.0, 0.0, 0.0]])
    path = smooth_path(np.random.default_rng(0), control, jitter_mm=0.0, tortuosity_mm=0.0)
    np.testing.assert_allclose(path[[0, -1]], control[[0, -1]], atol=1e-9)
    np.testing.assert_allclose(np.diff(path[:, 0]), SAMPLE_STEP_MM, rtol=1e-6)


def test_a_branch_starts_on_its_parent_whatever_the_jitter():
    control = np.array([[5.0, 6.0, 7.0], [25.0, 6.0, 7.0], [45.0, 16.0, 7.0]])
    path = smooth_path(np.random.default_rng(1), control, jitter_mm=3.0, tortuosity_mm=2.0)
    np.testing.assert_allclose(path[0], control[0], atol=1e-9)
    assert np.linalg.norm(path[-1] - control[-1]) < 20


def test_unit_vectors():
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0.0, 2.0]])), [[0.6, 0.8], [0.0, 1.0]])
