"""Diameters of tubes whose width is known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree

SIZE = 192
CENTRE = (SIZE - 1) / 2 + 0.3


def half_plane(distance: np.ndarray, angle: float) -> np.ndarray:
    """Return the exact share of a unit pixel that lies below a line at this distance from its centre."""
    wide, narrow = sorted((abs(math.sin(angle)), abs(math.cos(angle))), reverse=True)
    if narrow < 1e-6:
        return np.clip(distance / wide + 0.5, 0, 1)

    def ramp(shift: float) -> np.ndarray:
        return np.maximum(distance + shift, 0) ** 2

    outer, inner = (wide + narrow) / 2, (wide - narrow) / 2
    return (ramp(outer) - ramp(inner) - ramp(-inner) + ramp(-outer)) / (2 * wide * narrow)


def tube(angle: float, diameter, half_length: float = 70.0) -> np.ndarray:
    """Draw the coverage of each pixel by a tube through the middle; `diameter` is a function of the place."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - CENTRE
    radians = math.radians(angle)
    along = rows * math.sin(radians) + columns * math.cos(radians)
    across = rows * math.cos(radians) - columns * math.sin(radians)
    half = diameter(along) / 2
    covered = half_plane(half - across, radians) - half_plane(-half - across, radians)
    return np.clip(covered * (np.abs(along) <= half_length), 0, 1).astype(np.float32)


def along_axis(profile, angle: float) -> np.ndarray:
    radians = math.radians(angle)
    return (profile.points_rc - CENTRE) @ [math.sin(radians), math.cos(radians)]


@pytest.mark.parametrize("angle", [0, 17, 30, 45, 73, 90])
@pytest.mark.parametrize("diameter", [3.0, 5.3, 8.0, 14.0])
def test_straight_tube(angle, diameter):
    probability = tube(angle, lambda along: np.full_like(along, diameter))
    (profile,) = measure(probability).profiles
    measured = profile.diameter_px[profile.is_measured]
    assert len(measured) > 200
    assert np.mean(measured) == pytest.approx(diameter, abs=0.1)
    assert np.abs(measured - diameter).max() < 0.35
    walls = np.linalg.norm(profile.left_wall_rc - profile.right_wall_rc, axis=1)
    assert walls == pytest.approx(profile.diameter_px, nan_ok=True)


@pytest.mark.parametrize("angle", [0, 17, 45, 73])
def test_tapered_tube(angle):
    def diameter(along):
        return 9.0 - along / 20.0

    probability = tube(angle, diameter)
    (profile,) = measure(probability).profiles
    good = profile.is_measured
    error = profile.diameter_px[good] - diameter(along_axis(profile, angle)[good])
    assert np.mean(error) == pytest.approx(0, abs=0.1)
    assert np.abs(error).max() < 0.4


def test_ring_has_its_width_all_around():
    fine = (np.arange(SIZE * 8) + 0.5) / 8 - 0.5 - 95.2
    radius = np.hypot(fine[:, None], fine[None, :])
    probability = ((radius > 47) & (radius < 54)).reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3))
    (profile,) = measure(probability).profiles
    assert profile.is_measured.all()
    assert profile.diameter_px == pytest.approx(7, abs=0.35)
    assert profile.diameter_px.mean() == pytest.approx(7, abs=0.1)


def test_narrowing_is_found_at_its_place_and_depth():
    def diameter(along):
        return 10.0 - 5.0 * np.exp(-((along / 8.0) ** 2))

    probability = tube(30, diameter)
    (profile,) = measure(probability).profiles
    diameters = np.where(profile.is_measured, profile.diameter_px, np.inf)
    assert diameters.min() == pytest.approx(5.0, abs=0.3)
    assert abs(along_axis(profile, 30)[np.argmin(diameters)]) < 2


def test_mask_instead_of_probability_is_good_to_half_a_pixel():
    mask = tube(30, lambda along: np.full_like(along, 8.0)) >= 0.5
    (profile,) = measure(mask).profiles
    assert np.mean(profile.diameter_px[profile.is_measured]) == pytest.approx(8, abs=0.5)


def test_confluence_is_left_out_and_the_branches_keep_their_own_width():
    stem = tube(0, lambda along: np.where(along < 0, 8.0, 0.0))
    probability = np.clip(
        stem
        + tube(35, lambda along: np.where(along > -3, 6.0, 0.0))
        + tube(-35, lambda along: np.where(along > -3, 6.0, 0.0)),
        0,
        1,
    )
    profiles = measure(probability).profiles
    assert len(profiles) == 2
    for profile in profiles:
        assert profile.beside.any() and not (profile.beside & profile.is_measured).any()
        assert profile.diameter_px[profile.is_measured].max() < 9
    widths = sorted(np.quantile(one.diameter_px[one.is_measured], [0.1, 0.9]).tolist() for one in profiles)
    assert widths[0] == pytest.approx([6, 6], abs=0.2)  # the branch that leaves
    assert widths[1] == pytest.approx([6, 8], abs=0.2)  # the stem and the branch that it goes on in


def test_vessel_along_the_border_of_the_picture_is_not_measured():
    probability = np.zeros((60, 60), dtype=np.float32)
    probability[:6, 5:55] = 1
    (profile,) = measure(probability).profiles
    assert np.isnan(profile.diameter_px).all() and not profile.is_measured.any()


def test_wide_vessel_is_measured_beyond_the_first_reach():
    probability = np.zeros((160, 300), dtype=np.float32)
    probability[40:120, 10:290] = 1
    (profile,) = measure(probability).profiles
    assert np.median(profile.diameter_px[profile.is_measured]) == pytest.approx(80, abs=0.1)


def test_stump_beside_the_vessel_does_not_widen_it():
    probability = tube(0, lambda along: np.full_like(along, 8.0))
    probability[96:108, 92:99] = 1  # about 8 px out of the wall: shorter than the shortest branch to keep
    tree = build_vessel_tree(probability >= 0.5, minimum_branch_length_px=10)
    (profile,) = measure(probability, tree=tree).profiles
    assert np.nanmax(profile.diameter_px) > 11
    assert profile.diameter_px[profile.is_measured].max() < 11
