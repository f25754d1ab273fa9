"""Diameters of tubes whose width is known by construction."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.qca import diameter_profile, summarise_tree
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
    return (profile.centreline_rc - CENTRE) @ [math.sin(radians), math.cos(radians)]


@pytest.mark.parametrize("angle", [0, 17, 30, 45, 73, 90])
@pytest.mark.parametrize("diameter", [3.0, 5.3, 8.0, 14.0])
def test_straight_tube(angle, diameter):
    probability = tube(angle, lambda along: np.full_like(along, diameter))
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    profile = diameter_profile(branch, probability)
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
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    profile = diameter_profile(branch, probability)
    good = profile.is_measured
    error = profile.diameter_px[good] - diameter(along_axis(profile, angle)[good])
    assert np.mean(error) == pytest.approx(0, abs=0.1)
    assert np.abs(error).max() < 0.4


def test_ring_has_its_width_all_around():
    fine = (np.arange(SIZE * 8) + 0.5) / 8 - 0.5 - 95.2
    radius = np.hypot(fine[:, None], fine[None, :])
    probability = ((radius > 47) & (radius < 54)).reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3))
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    profile = diameter_profile(branch, probability)
    assert profile.is_measured.all()
    assert profile.diameter_px == pytest.approx(7, abs=0.35)
    assert profile.diameter_px.mean() == pytest.approx(7, abs=0.1)


def test_narrowing_is_found_at_its_place_and_depth():
    def diameter(along):
        return 10.0 - 5.0 * np.exp(-((along / 8.0) ** 2))

    probability = tube(30, diameter)
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    profile = diameter_profile(branch, probability)
    diameters = np.where(profile.is_measured, profile.diameter_px, np.inf)
    assert diameters.min() == pytest.approx(5.0, abs=0.3)
    assert abs(along_axis(profile, 30)[np.argmin(diameters)]) < 2


def test_mask_instead_of_probability_is_good_to_half_a_pixel():
    mask = tube(30, lambda along: np.full_like(along, 8.0)) >= 0.5
    (branch,) = build_vessel_tree(mask).branches
    profile = diameter_profile(branch, mask)
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
    tree = build_vessel_tree(probability >= 0.5)
    assert len(tree.branches) == 3
    profiles = [diameter_profile(branch, probability) for branch in tree.branches]
    widths = sorted(np.median(profile.diameter_px[profile.is_measured]) for profile in profiles)
    assert widths == pytest.approx([6, 6, 8], abs=0.15)
    for profile in profiles:
        assert profile.in_confluence.any()
        assert profile.diameter_px[profile.is_measured].max() < 10


def test_vessel_along_the_border_of_the_picture_is_not_measured():
    probability = np.zeros((60, 60), dtype=np.float32)
    probability[:6, 5:55] = 1
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    assert np.isnan(diameter_profile(branch, probability).diameter_px).all()


def test_wide_vessel_is_measured_beyond_the_first_reach():
    probability = np.zeros((160, 300), dtype=np.float32)
    probability[40:120, 10:290] = 1
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    profile = diameter_profile(branch, probability)
    assert np.median(profile.diameter_px[profile.is_measured]) == pytest.approx(80, abs=0.1)


def test_spacing_scales_diameter_and_length():
    probability = tube(17, lambda along: np.full_like(along, 8.0))
    (branch,) = build_vessel_tree(probability >= 0.5).branches
    plain, scaled = diameter_profile(branch, probability), diameter_profile(branch, probability, 0.25)
    assert plain.diameter_mm is None and plain.arc_length_mm is None
    assert scaled.diameter_mm == pytest.approx(plain.diameter_px * 0.25, nan_ok=True)
    assert scaled.arc_length_mm[-1] == pytest.approx(branch.length_px * 0.25)


@pytest.mark.parametrize(
    ("probability", "spacing", "message"),
    [
        (np.zeros((1, 8, 8)), None, r"shape \(height, width\), found \(1, 8, 8\)"),
        (np.full((SIZE, SIZE), np.nan), None, "within 0..1, found nan"),
        (np.full((SIZE, SIZE), 255.0), None, "within 0..1, found 255"),
        (np.zeros((SIZE, SIZE)), 0.0, "above 0 mm, found 0.0"),
        (np.zeros((SIZE, SIZE)), math.nan, "above 0 mm, found nan"),
    ],
)
def test_wrong_input_is_refused(probability, spacing, message):
    (branch,) = build_vessel_tree(tube(0, lambda along: np.full_like(along, 8.0)) >= 0.5).branches
    with pytest.raises(ValueError, match=message):
        diameter_profile(branch, probability, spacing)


def test_summary_is_json_and_names_its_units():
    probability = tube(17, lambda along: np.full_like(along, 8.0))
    tree = build_vessel_tree(probability >= 0.5)
    summary = summarise_tree(tree, [diameter_profile(tree.branches[0], probability, 0.25)])
    json.dumps(summary, allow_nan=False)
    (branch,) = summary["branches"]
    assert branch["median_diameter_px"] == pytest.approx(8, abs=0.1)
    assert branch["median_diameter_mm"] == pytest.approx(2, abs=0.03)
    assert branch["minimum_diameter_px"] <= branch["median_diameter_px"] <= branch["maximum_diameter_px"]
    assert summary["centreline_length_mm"] == pytest.approx(summary["centreline_length_px"] * 0.25, abs=1e-3)
    assert branch["length_mm"] == summary["centreline_length_mm"]
    assert branch["middle_xy"] == pytest.approx([95.8, 95.8], abs=2)
    assert summary["components"] == 1 and summary["bifurcations"] == 0
    assert summary["area_fraction"] == pytest.approx(8 * 140 / SIZE**2, rel=0.02)
    assert len(branch["profile"]["diameter_px"]) == len(branch["profile"]["arc_length_px"])


def test_summary_without_spacing_has_no_millimetres():
    probability = gaussian_filter(tube(0, lambda along: np.full_like(along, 8.0)), 1)
    tree = build_vessel_tree(probability >= 0.5)
    summary = summarise_tree(tree, [diameter_profile(branch, probability) for branch in tree.branches])
    assert "_mm" not in json.dumps(summary)


def test_summary_of_an_empty_tree():
    summary = summarise_tree(build_vessel_tree(np.zeros((8, 8), dtype=bool)), [])
    assert summary["branches"] == [] and summary["centreline_length_px"] == 0


def test_summary_refuses_profiles_of_other_branches():
    tree = build_vessel_tree(tube(0, lambda along: np.full_like(along, 8.0)) >= 0.5)
    with pytest.raises(ValueError, match=r"profiles of the branches \[0\], found those of \[\]"):
        summarise_tree(tree, [])


def test_stump_beside_the_vessel_does_not_widen_it():
    probability = tube(0, lambda along: np.full_like(along, 8.0))
    probability[96:108, 92:99] = 1  # about 8 px out of the wall: shorter than the shortest branch to keep
    tree = build_vessel_tree(probability >= 0.5, minimum_branch_length_px=10)
    assert len(tree.branches) == 1
    profile = diameter_profile(tree.branches[0], probability)
    assert np.nanmax(profile.diameter_px) > 11
    assert profile.diameter_px[profile.is_measured].max() < 11
