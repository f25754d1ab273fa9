"""Catheters, wires and clips where they belong; the collimator between 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom import background
from monai_lora_sam.coronary.phantom.heart import draw_heart
from monai_lora_sam.coronary.phantom.projection import CArm

SHAPE = (128, 128)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_clouds_have_the_deviation_asked_for(rng):
    field = background.clouds(rng, (256, 256), [4.0], [0.3])
    assert field.shape == (256, 256) and field.dtype == np.float32
    assert 0.15 < field.std() < 0.35  # smoothing between the drawn values takes some of it
    with pytest.raises(ValueError, match="zip"):
        background.clouds(rng, SHAPE, [4.0, 8.0], [1.0])


def test_the_catheter_comes_from_above_and_ends_behind_the_ostium(rng):
    ostium, direction = np.array([5.0, -20.0, 30.0]), np.array([1.0, 0.0, 0.0])
    path = background.catheter_path(rng, ostium, direction)
    np.testing.assert_allclose(path[-1], ostium + 3.0 * direction)
    assert path[0, 2] > ostium[2] + 60
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(steps, background.DEVICE_STEP, rtol=0.02)


def test_a_wire_crosses_the_picture_from_border_to_border(rng):
    path = background.wire_path(rng, SHAPE)
    assert path.shape[1] == 2
    assert path[0].min() == pytest.approx(-10.0) and path[-1].max() == pytest.approx(SHAPE[0] + 10.0)


def test_the_collimator_passes_a_share_and_most_of_the_middle(rng):
    for _ in range(20):
        passed = background.collimator(rng, SHAPE)
        assert passed.shape == SHAPE and passed.min() >= 0.0 and passed.max() <= 1.0
        assert passed[64, 64] > 0.99


def test_clips_attenuate_and_nothing_else_does(rng):
    field = background.clips(rng, SHAPE)
    assert field.min() >= 0.0 and 0.0 < (field > 0.05).mean() < 0.2


def test_the_chest_fills_the_picture_and_repeats_for_a_seed():
    heart = draw_heart(np.random.default_rng(0))
    arm = CArm(30.0, -20.0, 1000.0, 750.0, 1.2, SHAPE)
    first, again = (background.chest(np.random.default_rng(7), arm, heart, np.zeros(3)) for _ in range(2))
    assert first.shape == SHAPE and np.isfinite(first).all() and first.std() > 0.01
    np.testing.assert_array_equal(first, again)
