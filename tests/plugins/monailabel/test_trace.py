"""A trace fills the vessel between its ends, and no other."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_app.errors import Refused
from label_app.strategies import map_uncertainty
from label_app.trace import trace_vessel


@pytest.fixture
def crossing() -> np.ndarray:
    """Return a map with a level vessel five pixels wide and a steep one three wide across it."""
    vessels = np.zeros((100, 200))
    vessels[48:53] = 0.95
    vessels[:, 99:102] = 0.95
    return vessels


def test_the_vessel_between_the_ends_is_filled_to_its_walls(crossing) -> None:
    found = trace_vessel(crossing, (20, 50), (180, 50))
    truth = np.zeros_like(found)
    truth[48:53, 20:181] = True
    overlap = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert overlap > 0.95
    assert not found[:40].any() and not found[60:].any()  # the other vessel is left alone


def test_a_click_beside_the_vessel_finds_it(crossing) -> None:
    beside, on = trace_vessel(crossing, (20, 55), (180, 46)), trace_vessel(crossing, (20, 50), (180, 50))
    assert (beside & on).sum() > 0.95 * on.sum()


def test_a_gap_in_the_map_is_bridged(crossing) -> None:
    crossing[:, 60:66] = 0.1
    found = trace_vessel(crossing, (20, 50), (90, 50))
    assert all(found[:, column].any() for column in range(20, 91))
    assert found[:, 62].sum() <= 3


def test_a_path_turns_with_the_vessel(crossing) -> None:
    found = trace_vessel(crossing, (20, 50), (100, 5))
    assert found[50, 20:100].all() and found[5:48, 100].all()
    assert not found[:, 120:].any()


@pytest.mark.parametrize("place", [(-1, 5), (200, 5), (5, 100)])
def test_a_place_outside_is_refused(crossing, place) -> None:
    with pytest.raises(Refused, match="inside 200 x 100 pixels"):
        trace_vessel(crossing, place, (5, 5))


def test_uncertainty_is_entropy_for_each_pixel_of_vessel() -> None:
    assert map_uncertainty(np.array([[0.5, 0.5]])) == pytest.approx(2)
    assert map_uncertainty(np.array([[1.0, 0.0]])) == pytest.approx(0, abs=1e-4)
    assert map_uncertainty(np.full((4, 4), 0.7)) < map_uncertainty(np.full((4, 4), 0.4))
