"""A straight tube against Beer-Lambert and the chord of a circle; crossings and branchings against sums."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import SyntaxSegment
from monai_lora_sam.coronary.phantom.detector import expose
from monai_lora_sam.coronary.phantom.lesions import stenosis_profile
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.phantom.rendering import LARGEST_FORESHORTENING, draw_vessel, merge_at_origin
from monai_lora_sam.coronary.phantom.scene import project_branch, vessel_attenuation
from monai_lora_sam.coronary.phantom.tree import Branch

ARM = CArm(0.0, 0.0, 1000.0, 750.0, 0.4, (256, 256))  # 0.3 mm a pixel at the isocentre


def tube(start: tuple[float, float, float], end: tuple[float, float, float], diameter: float) -> Branch:
    points = np.linspace(start, end, 101)
    width = np.full(101, diameter)
    return Branch(points, width, width, [(SyntaxSegment.LAD_PROXIMAL, 0, 101)], None, np.ones(101))


@pytest.mark.parametrize("diameter", [1.0, 2.0, 3.7])
@pytest.mark.parametrize("shift", [0.0, 0.11, 0.15])
def test_a_straight_tube_has_the_chord_of_a_circle(diameter: float, shift: float) -> None:
    drawn = vessel_attenuation(
        [project_branch(tube((shift, 0, -25), (shift, 0, 25), diameter), ARM, np.zeros(3))], ARM.shape
    )
    row = drawn[128]
    at_mm = (np.arange(256) - 127.5) * 0.3 - shift
    # The mean of 2·sqrt(r² − x²) over each pixel, by brute force.
    fine = at_mm[:, None] + (np.arange(400) + 0.5)[None] / 400 * 0.3 - 0.15
    expected = (2 * np.sqrt(np.maximum((diameter / 2) ** 2 - fine**2, 0))).mean(axis=1)
    np.testing.assert_allclose(row, expected, atol=2e-3)
    # The area of the lumen's section is kept, whatever the sub-pixel position.
    assert row.sum() * 0.3 == pytest.approx(np.pi * diameter**2 / 4, rel=1e-3)


@pytest.mark.parametrize("depth", [-60.0, 0.0, 60.0])
def test_the_mask_of_a_tube_has_the_projected_width(depth: float) -> None:
    projected = project_branch(tube((0, depth, -20), (0, depth, 20), 3.0), ARM, np.zeros(3))
    expected_px = 3.0 * 1000 / (750 - depth) / 0.4
    np.testing.assert_allclose(2 * projected.radius_px, expected_px)
    assert projected.drawn is not None
    mask = np.zeros(ARM.shape, bool)
    mask[projected.drawn.rows, projected.drawn.columns] = projected.drawn.inside
    inside = np.abs(np.arange(256) - 127.5) <= expected_px / 2
    np.testing.assert_array_equal(mask[128], inside)


def test_beer_lambert_in_the_exposed_signal() -> None:
    branch = tube((0, 0, -25), (0, 0, 25), 3.0)
    path = vessel_attenuation([project_branch(branch, ARM, np.zeros(3))], ARM.shape)
    signal = expose(np.random.default_rng(0), 0.12 * path, np.ones(ARM.shape), blur_px=1e-3, photons=1e7)
    middle = signal[100:150, 125:131].mean(axis=0)
    open_beam = signal[100:150, :40].mean()
    chord = path[128, 125:131]
    # Over the vessel's flat middle the detector's own small blur changes nothing that can be seen.
    np.testing.assert_allclose(-np.log(middle / open_beam), 0.12 * chord, rtol=0.02)
    assert chord.max() == pytest.approx(3.0, rel=0.01)


def test_an_oblique_tube_is_deeper_by_its_sine_up_to_the_limit() -> None:
    def peak(angle_deg: float) -> float:
        along = 12 * np.array([0.0, np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))])
        drawn = project_branch(tube(tuple(-along), tuple(along), 2.0), ARM, np.zeros(3)).drawn
        assert drawn is not None
        return float(drawn.path_mm.max())

    across = peak(90)
    assert across == pytest.approx(2.0, rel=0.02)  # the middle lies between two pixels
    assert peak(45) / across == pytest.approx(np.sqrt(2), rel=0.03)
    assert peak(5) / across == pytest.approx(LARGEST_FORESHORTENING, rel=0.03)


def test_crossing_vessels_add_up_and_joined_ones_do_not() -> None:
    first = project_branch(tube((0, 0, -20), (0, 0, 20), 3.0), ARM, np.zeros(3))
    second = project_branch(tube((-20, 30, 0), (20, 30, 0), 2.0), ARM, np.zeros(3))
    crossing = vessel_attenuation([first, second], ARM.shape)
    assert crossing[127:129, 127:129].max() == pytest.approx(5.0, abs=0.05)

    child = tube((0, 0, 0), (20, 0, 0), 2.0)
    child.parent = (0, 50)
    joined = vessel_attenuation([first, project_branch(child, ARM, np.zeros(3))], ARM.shape)
    assert joined[120:136, 120:136].max() == pytest.approx(3.0, abs=0.05)
    assert joined[128, 180] == pytest.approx(2.0, abs=0.05)


def test_merging_takes_away_the_smaller_length_near_the_origin_only() -> None:
    parent, child = np.full((41, 41), 3.0), np.full((41, 41), 1.0)
    total = parent + child
    merge_at_origin(total, parent, child, np.array([20.0, 20.0]), 4.0)
    assert total[20, 20] == pytest.approx(3.0)
    assert total[20, 35] == pytest.approx(4.0)


def test_a_vessel_outside_the_picture_is_not_drawn() -> None:
    points = np.stack([np.linspace(-90, -50, 20), np.full(20, 40.0)], axis=1)
    ones = np.ones(20)
    assert draw_vessel(points, 3 * ones, 0.3 * ones, ones, (64, 64)) is None


def test_a_short_stenosis_is_drawn_as_narrow_as_its_truth():
    # Its narrowest sample lies at an odd place on the branch, beside every other of which the curve is drawn.
    arm = CArm(0.0, 0.0, 1000.0, 750.0, 0.2 * 1000 / 750, (96, 96))
    count, lowest, length = 45, 23, 4.0
    along = np.arange(count) * 0.4
    points = np.column_stack([along - along[lowest], np.zeros(count), np.zeros(count)])
    diameter = 3.0 * stenosis_profile(along, along[lowest], length, 70.0)
    branch = Branch(points, diameter, np.full(count, 3.0), [(None, 0, count)])
    drawn = project_branch(branch, arm, np.zeros(3)).drawn
    column = round(arm.project(np.zeros(3))[0][1]) - drawn.columns.start
    # 0.9 mm are 4.5 px about the border between two rows: 2 on either side of it.
    assert drawn.inside[:, column - 1 : column + 2].sum(axis=0).min() == 4
