"""Intervals of a measured stenosis, by Monte Carlo of mask and calibration errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.stenosis import Stenosis, minimum_sigma

LEVEL = 0.95
MASK_ERROR_PX = 0.5  # a wall of the mask lies anywhere within this of the true one
# The next three were fitted so that intervals hold the truth on phantoms (docs/qca.md).
CORRELATION_PX = 0.7  # standard deviation of the kernel that makes wall errors alike along the vessel
ROUGHNESS = 1.0  # times the unevenness of a vessel, for its walls' error where that is more than the mask's
REFERENCE_ERROR = 0.03  # relative, of the reference line, besides the effect of wall errors
ANGIOGRAM_REFERENCE_ERROR = 0.07  # the same where the lumen was read in the angiogram
TAPER_DEVIATION = 0.02  # of the reference line's slope, per diameter, as in its fit
HEALTHY = 0.15  # relative distance from the reference, within which the vessel shows how even its walls are
THINNEST_PX = 1.0  # a lumen thinner than this may be missing from a mask


@dataclass(frozen=True)
class Intervals:
    """Hold the 95 % intervals of one stenosis, each as (low, high).

    `mld_calibrated_px` has the calibration's error besides: times the pixel spacing it is that of the MLD in mm.
    """

    percent: tuple[float, float]
    mld_px: tuple[float, float]
    mld_calibrated_px: tuple[float, float]


def stenosis_intervals(
    profile: VesselProfile,
    stenosis: Stenosis,
    calibration_error_percent: float = 0.0,
    seed: int = 0,
    draws: int = 400,
) -> Intervals:
    """Return the ranges in which %DS and MLD of a stenosis lie with a probability of 95 %.

    Both walls are displaced by random errors that are alike over a short stretch: as large as half a pixel of the
    mask either way, or as the vessel's own unevenness where that is larger. Each time the smallest diameter is
    taken again by the same local regression and the reference line is fitted again; its own error as a model, that
    of a fit to the angiogram and the calibration's are added. The deviations from the measured values, mirrored, are
    those of the truth from the measurement.

    Args:
        profile: the vessel, with its reference line.
        stenosis: of that vessel.
        calibration_error_percent: one standard deviation (`Calibration.expected_error_percent`).
        seed: the same seed gives the same intervals.
        draws: random displacements.

    Raises:
        ValueError: an error that is not within 0 to 100 %, or fewer than 20 draws.

    Example:
        >>> stenosis_intervals(lesion.profile, lesion.stenoses[0], 3.2).percent  # doctest: +SKIP
        (61.0, 69.4)
    """
    if not 0 <= calibration_error_percent < 100:
        raise ValueError(f"expected a calibration error of 0 to 100 %, found {calibration_error_percent}")
    if draws < 20:
        raise ValueError(f"expected 20 draws or more, found {draws}")
    rng = np.random.default_rng(seed)
    reference = float(profile.reference_px[stenosis.minimum])
    scale = np.exp(calibration_error_percent / 100 * rng.standard_normal(draws))
    if stenosis.total_occlusion:
        high = min(THINNEST_PX, reference)
        return Intervals((100 * (1 - high / reference), 100.0), (0.0, high), (0.0, high))
    noise = wall_noise(profile, rng, draws)
    log_reference = reference_response(profile, stenosis.minimum, noise)
    reference_error = ANGIOGRAM_REFERENCE_ERROR if profile.reading_error_px else REFERENCE_ERROR
    log_reference += reference_error * rng.standard_normal(draws)
    # Contrast and background are wrong for a whole stretch.
    shifts = _shifts(profile, stenosis, noise) + profile.reading_error_px * rng.standard_normal(draws)
    smallest = np.maximum(stenosis.minimum_lumen_diameter_px - shifts, 0.0)
    percent = 100.0 * (1.0 - smallest / (reference * np.exp(-log_reference)))
    percent = np.maximum(percent, 0.0)  # wider than the reference: no stenosis, rather than a negative one
    return Intervals(_range(percent), _range(smallest), _range(smallest * scale))


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def wall_deviation(profile: VesselProfile) -> float:
    """Return the standard deviation in px by which each wall of a vessel is taken to be off."""
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = profile.diameter_px / profile.reference_px - 1
    healthy = profile.is_measured & (np.abs(relative) < HEALTHY)
    of_mask = MASK_ERROR_PX / np.sqrt(3)  # of an even distribution
    if healthy.sum() < 20:
        return of_mask
    residual = (profile.diameter_px - profile.reference_px)[healthy]
    uneven = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    return max(of_mask, ROUGHNESS * uneven / np.sqrt(2))


def wall_noise(profile: VesselProfile, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Return errors of the diameter along a vessel, (draws, N) in px: those of both walls together."""
    white = rng.standard_normal((draws, len(profile.points_rc)))
    sigma = CORRELATION_PX / SPACING_PX
    alike = gaussian_filter1d(white, sigma, axis=1, mode="wrap")
    alike /= np.sqrt(
        np.square(gaussian_filter1d(np.eye(1, 12 * int(sigma + 1), 6 * int(sigma + 1))[0], sigma)).sum()
    )
    return np.sqrt(2) * wall_deviation(profile) * alike


def _shifts(profile: VesselProfile, stenosis: Stenosis, noise: np.ndarray) -> np.ndarray:
    """Return the change of the smallest diameter, (draws,) px, when the diameters move by `noise`."""
    sigma = minimum_sigma(stenosis.begin, stenosis.end)
    low = max(stenosis.minimum - int(5 * sigma), 0)
    high = min(stenosis.minimum + int(5 * sigma) + 1, len(profile.points_rc))
    at = np.arange(low, high)
    valid = profile.is_measured[at] & np.isfinite(profile.diameter_px[at])
    if valid.sum() < 4 or not valid[stenosis.minimum - low]:
        return noise[:, stenosis.minimum]
    # Beyond the measured points a regression knows nothing.
    about = at[valid & (np.abs(at - stenosis.minimum) <= int(2 * sigma))]
    weights = np.stack([regression_weights(at, valid, point, sigma) for point in about.tolist()])
    measured = weights @ np.where(valid, profile.diameter_px[at], 0.0)
    moved = measured + noise[:, low:high] @ weights.T
    return moved.min(axis=1) - float(measured.min())


def regression_weights(at: np.ndarray, valid: np.ndarray, point: int, sigma: float) -> np.ndarray:
    """Return the weight of each sample in the local quadratic regression at a point (`samples.smooth`), (N,)."""
    scaled = (at - point) / sigma
    kernel = np.exp(-0.5 * scaled**2) * (valid & (np.abs(at - point) <= np.ceil(3 * sigma)))
    powers = np.stack([np.ones(len(at)), scaled, scaled**2])
    moments = (powers * kernel) @ powers.T
    moments += 1e-6 * max(moments[0, 0], 1e-6) * np.eye(3)
    return np.linalg.solve(moments, powers * kernel)[0]


def reference_response(profile: VesselProfile, point: int, noise: np.ndarray) -> np.ndarray:
    """Return the relative change of the reference diameter at a point, (draws,), when the diameters move by `noise`.

    The line is that of least squares over the healthy points, its slope held as in `reference_line`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = profile.diameter_px / profile.reference_px - 1
    used = np.flatnonzero(profile.is_measured & (np.abs(relative) < HEALTHY))
    if len(used) < 4:
        return np.zeros(len(noise))
    typical = float(profile.reference_px[point])
    at = (profile.arc_length_px[used] - profile.arc_length_px[point]) / typical
    design = np.column_stack([np.ones(len(used)), at])
    stiffness = np.diag([0.0, 10 * (0.03 / TAPER_DEVIATION) ** 2])
    weights = np.linalg.solve(design.T @ design + stiffness, design.T)[0]
    return (noise[:, used] / profile.diameter_px[used]) @ weights
