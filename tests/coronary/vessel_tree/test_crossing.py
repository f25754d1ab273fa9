"""Branches that meet are two vessels that cross where both run on nearly straight, whichever way vectors point."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree import crossing_pairs, turn_at
from monai_lora_sam.coronary.vessel_tree.crossing import CROSSING_DEGREES


def vector(degrees):
    return np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])


@pytest.mark.parametrize("turn", [0, 10, 45, 90, 180])
def test_turns_are_the_angles_that_were_drawn(turn):
    for heading in (0, 37, 123, 250):
        for sign in (-1, 1):
            found = turn_at(vector(heading), vector(heading + 180 + sign * turn))
            assert np.degrees(found) == pytest.approx(turn, abs=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_both_vessels_may_turn_up_to_the_limit_and_no_further(sign):
    for beyond, expected in ((-0.01, ((0, 1), (2, 3))), (0.01, None)):
        arms = [0, 180, 90, 270 + CROSSING_DEGREES + beyond]
        assert crossing_pairs([sign * vector(angle) for angle in arms]) == expected


def test_the_straighter_vessel_comes_first():
    assert crossing_pairs([vector(angle) for angle in (90, 280, 0, 180)]) == ((2, 3), (0, 1))


def test_three_branches_do_not_cross():
    assert crossing_pairs([vector(angle) for angle in (0, 120, 180)]) is None
    assert crossing_pairs([]) is None


def test_a_misfit_decides_between_two_ways_to_pair():
    """Four branches as an X that is so flat that either way runs straight: labels or calibres tell."""
    arms = [vector(angle) for angle in (20, 160, 200, 340)]  # 20-200 and 160-340 straight; 20-160 turns by 40
    assert crossing_pairs(arms) == ((0, 2), (1, 3))
    apart = {(0, 2): 2.0, (1, 3): 2.0}
    found = crossing_pairs(arms, lambda first, second: apart.get((first, second), 0.0))
    assert set(found or ()) == {(0, 1), (2, 3)}
    assert crossing_pairs(arms, lambda first, second: np.inf) is None
