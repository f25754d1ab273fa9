"""Two branches run straight on up to the largest turn, whichever way their vectors point."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree import CROSSING_DEGREES, runs_straight_on


def vector(degrees):
    return np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("turn", [-1, 1])
def test_a_turn_up_to_the_limit_runs_on_and_a_larger_one_does_not(sign, turn):
    for heading in (0, 37, 123, 250):
        less, more = (vector(heading + 180 + turn * (CROSSING_DEGREES + beyond)) for beyond in (-0.01, 0.01))
        assert runs_straight_on(sign * vector(heading), sign * less)
        assert not runs_straight_on(sign * vector(heading), sign * more)


def test_going_back_is_no_vessel_that_runs_on():
    assert not runs_straight_on(vector(20), vector(20))
