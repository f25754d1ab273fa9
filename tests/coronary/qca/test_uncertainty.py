"""Intervals: coverage on vessels whose noise is drawn here, and each part against a direct computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.reference import reference_line
from monai_lora_sam.coronary.qca.samples import smooth
from monai_lora_sam.coronary.qca.stenosis import Stenosis, find_stenoses
from monai_lora_sam.coronary.qca.uncertainty import (
    MASK_ERROR_PX,
    regression_weights,
    stenosis_intervals,
    wall_deviation,
    wall_noise,
)

COUNT, STEP = 401, 0.5
DIAMETER, PERCENT, LENGTH = 12.0, 60.0, 50.0


def true_diameter() -> np.ndarray:
    """Return a vessel of even calibre with a cosine-shaped stenosis of 60 % in its middle."""
    along = np.abs(np.arange(COUNT) * STEP - COUNT * STEP / 2) / (LENGTH / 2)
    return DIAMETER * (1 - PERCENT / 100 * 0.5 * (1 + np.cos(np.pi * np.clip(along, 0, 1))))


def profile_of(diameter: np.ndarray) -> VesselProfile:
    arc = np.arange(COUNT) * STEP
    points = np.column_stack([np.zeros(COUNT), arc])
    half = np.column_stack([diameter / 2, np.zeros(COUNT)])
    no, yes = np.zeros(COUNT, bool), np.ones(COUNT, bool)
    smoothed = np.maximum(smooth(diameter, yes, 4.0), 0.0)
    profile = VesselProfile(
        vessel_id=1,
        points_rc=points,
        left_wall_rc=points - half,
        right_wall_rc=points + half,
        arc_length_px=arc,
        diameter_px=diameter,
        is_measured=yes,
        smoothed_px=smoothed,
        reference_px=np.full(COUNT, np.nan),
        segment_ids=np.zeros(COUNT, np.uint8),
        occluded=no,
        overlapped=no,
        reading_error_px=0.0,
        direction_known=True,
        beside=no,
        start=None,
        end=None,
    )
    line = reference_line(arc, diameter, (arc < 65) | (arc > 135), direction_known=True)
    return replace(profile, reference_px=line)


def noisy(seed: int, deviation: float) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal((2, COUNT))
    walls = gaussian_filter1d(white, 2.0, axis=1)
    return true_diameter() + deviation * (walls / walls.std(axis=1, keepdims=True)).sum(axis=0)


@pytest.fixture(scope="module")
def measured() -> tuple[VesselProfile, Stenosis]:
    profile = profile_of(noisy(0, 0.25))
    (stenosis,) = find_stenoses(profile)
    return profile, stenosis


def test_most_intervals_hold_the_truth():
    smallest, inside = DIAMETER * (1 - PERCENT / 100), []
    for seed in range(60):
        profile = profile_of(noisy(seed, 0.3))
        (stenosis,) = find_stenoses(profile)
        found = stenosis_intervals(profile, stenosis, seed=seed, draws=200)
        inside.append(
            [
                found.percent[0] <= PERCENT <= found.percent[1],
                found.mld_px[0] <= smallest <= found.mld_px[1],
            ]
        )
    # Of 60 with 95 % each, 90 % or fewer are seen with a chance below one in ten.
    assert (np.mean(inside, axis=0) >= 0.9).all()


def test_intervals_hold_the_measurement_and_follow_the_seed(measured):
    profile, stenosis = measured
    one, same = (stenosis_intervals(profile, stenosis, 3.0, seed=4) for _ in range(2))
    assert one == same != stenosis_intervals(profile, stenosis, 3.0, seed=5)
    percent = 100 * (1 - stenosis.minimum_lumen_diameter_px / profile.reference_px[stenosis.minimum])
    assert one.percent[0] < percent < one.percent[1]
    assert one.mld_px[0] < stenosis.minimum_lumen_diameter_px < one.mld_px[1]


def test_calibration_widens_millimetres_alone(measured):
    without, with_error = (stenosis_intervals(*measured, error, seed=1) for error in (0.0, 10.0))
    assert without.mld_calibrated_px == without.mld_px
    assert with_error.percent == without.percent and with_error.mld_px == without.mld_px
    # 10 % of 4.8 px is far more than the walls' part.
    width = with_error.mld_calibrated_px[1] - with_error.mld_calibrated_px[0]
    assert width == pytest.approx(2 * 1.96 * 0.1 * 4.8, rel=0.3)


def test_an_uneven_vessel_has_wider_intervals():
    def width(deviation: float) -> float:
        profile = profile_of(noisy(2, deviation))
        stenosis = min(find_stenoses(profile), key=lambda one: one.minimum_lumen_diameter_px)
        low, high = stenosis_intervals(profile, stenosis).mld_px
        return high - low

    assert width(0.7) > 1.5 * width(0.1)
    even = profile_of(true_diameter())
    assert wall_deviation(even) == pytest.approx(MASK_ERROR_PX / np.sqrt(3))


def test_noise_has_the_deviation_it_should():
    profile = profile_of(true_diameter())
    noise = wall_noise(profile, np.random.default_rng(0), 400)
    assert noise.shape == (400, COUNT)
    assert noise.std() == pytest.approx(np.sqrt(2) * wall_deviation(profile), rel=0.03)
    assert abs(noise.mean()) < 0.02


def test_regression_weights_are_those_of_the_smoothing():
    values = np.random.default_rng(1).normal(5, 1, 81)
    valid = np.ones(81, bool)
    valid[30:38] = False
    direct = smooth(values, valid, 5.0)
    for point in (20, 34, 40, 60):
        weights = regression_weights(np.arange(81), valid, point, 5.0)
        assert weights @ np.where(valid, values, 0) == pytest.approx(direct[point], abs=0.01)


def test_an_occlusion_may_be_a_thread_too_thin_for_the_mask(measured):
    profile, stenosis = measured
    found = stenosis_intervals(
        profile, replace(stenosis, minimum_lumen_diameter_px=0.0, total_occlusion=True)
    )
    assert found.mld_px == (0.0, 1.0)
    assert found.percent == pytest.approx((100 * (1 - 1 / profile.reference_px[stenosis.minimum]), 100.0))


def test_bad_input(measured):
    with pytest.raises(ValueError, match="calibration error of 0 to 100 %, found -1"):
        stenosis_intervals(*measured, -1.0)
    with pytest.raises(ValueError, match="20 draws"):
        stenosis_intervals(*measured, draws=3)


def test_what_was_fitted_to_the_angiogram_has_its_own_error(measured):
    profile, stenosis = measured
    mask = stenosis_intervals(profile, stenosis, draws=4000)
    angiogram = stenosis_intervals(replace(profile, reading_error_px=0.8), stenosis, draws=4000)

    def deviation(interval: tuple[float, float]) -> float:
        return (interval[1] - interval[0]) / (2 * 1.96)

    expected = np.hypot(deviation(mask.mld_px), 0.8)
    assert deviation(angiogram.mld_px) == pytest.approx(expected, rel=0.06)
    assert angiogram.percent[0] < mask.percent[0] and angiogram.percent[1] > mask.percent[1]


def test_beyond_what_was_measured_nothing_is_guessed(measured):
    profile, stenosis = measured
    whole = stenosis_intervals(profile, stenosis).mld_px
    seen = profile.is_measured.copy()
    seen[stenosis.minimum + 2 : stenosis.end + 40] = (
        False  # a side branch's mouth right behind the narrowest place
    )
    low, high = stenosis_intervals(replace(profile, is_measured=seen), stenosis).mld_px
    assert high - low < 3 * (whole[1] - whole[0])
