"""Stenoses along one vessel: where its diameter falls below the reference and comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import leastsq

from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.runs import runs
from monai_lora_sam.coronary.qca.smoothing import fill, smooth

LEAST_STENOSIS = 0.20  # of the reference diameter
LEAST_DEPTH_PX = 1.2  # what a mask's grid cannot make up
LEAST_OSTIAL_STENOSIS = 0.35  # where no lumen before it shows what is normal
LEAST_SEEN = 0.3  # part of a stenosis that must have been measured; the rest lies beside other vessels
LEAST_LENGTH = 0.6  # reference diameters; a shorter dent is one of the mask
LEAST_LENGTH_PX = 4.0
WHOLE = 1.4  # length of a dip, over that between the places where three quarters are regained
SHOULDER_STIFFNESS = 2.0  # how firmly a vessel beside its stenosis is held to the reference
SOFT_DEPTH = 0.08  # misfits of the relative depth beyond this count less than squared
REGAINED = 0.75  # of a dip's depth, before the vessel's distal end
# Of a narrowing's width at half its depth; where it takes longer to regain the rest, the reference is too high there.
PLATEAU = 3.0
RECOVERY = 0.5  # two dips are two stenoses if half of the shallower one's depth is regained between them


@dataclass(frozen=True)
class Stenosis:
    """Hold one narrowing by the indices of its points on the profile."""

    begin: int
    minimum: int
    end: int
    minimum_lumen_diameter_px: float
    total_occlusion: bool


def find_stenoses(profile: VesselProfile, fit_borders: bool = True) -> list[Stenosis]:
    """Find the narrowings of a vessel whose `reference_px` is known, from proximal to distal.

    A candidate is a run of points below the reference, at its lowest by 20 % and 1.2 px at least. Its borders
    are those of a half-cosine flank, a floor and another half-cosine flank, fitted to the relative diameters
    of the run and its surroundings: the places where the narrowing begins, which a threshold puts too far
    inside. The smallest diameter is that of a local quadratic regression whose width follows the lesion's.

    Args:
        profile: the vessel.
        fit_borders: without it they are only roughly right, and found faster.
    """
    reference = profile.reference_px
    if not np.isfinite(reference).all():
        return []
    known = profile.is_measured & np.isfinite(profile.smoothed_px)
    if not known.any():
        return []
    relative = fill(np.where(known, profile.smoothed_px, np.nan) / reference, known)
    first, last = np.flatnonzero(known)[[0, -1]]
    stenoses = []
    for dip in _dips(relative, reference, known, first, last):
        limits = _recovered(relative, *dip, first, last)
        if limits is None:
            continue
        ostial = limits[0] == first
        if ostial and not profile.direction_known:
            continue
        begin, end = limits
        window = _window(relative, begin, end, first, last, reference)
        if fit_borders:
            fitted = _borders(profile, relative, begin, end, window)
        else:
            margin = int((WHOLE - 1) / 2 * (end - begin))
            fitted = max(begin - margin, window[0]), min(end + margin, window[1])
        stenosis = _measured(profile, relative, *fitted)
        width = reference[stenosis.minimum]
        narrowing = 1 - stenosis.minimum_lumen_diameter_px / width
        least = max(LEAST_LENGTH * width, LEAST_LENGTH_PX)
        long_enough = (stenosis.end - stenosis.begin) * SPACING_PX >= least
        deep_enough = narrowing >= LEAST_STENOSIS and narrowing * width >= LEAST_DEPTH_PX
        if ostial:
            deep_enough &= narrowing >= LEAST_OSTIAL_STENOSIS
        seen = profile.is_measured[stenosis.begin : stenosis.end + 1].mean() >= LEAST_SEEN
        if stenosis.total_occlusion or (long_enough and deep_enough and seen):
            stenoses.append(stenosis)
    return _without_overlap(stenoses)


def _dips(
    relative: np.ndarray, reference: np.ndarray, known: np.ndarray, first: int, last: int
) -> list[tuple[int, int]]:
    """Return runs (begin, end) below the reference, cut where the lumen recovers between two minima."""
    least = np.maximum(LEAST_STENOSIS, LEAST_DEPTH_PX / reference)
    shallow = 1 - np.clip(0.35 * least, 0.05, 0.5)
    below = (relative < shallow) & (np.arange(len(relative)) >= first) & (np.arange(len(relative)) <= last)
    parts = [part for begin, end in runs(below) for part in _split(relative, begin, end - 1)]
    return [
        (begin, end)
        for begin, end in parts
        if ((1 - relative[begin : end + 1] >= 0.9 * least[begin : end + 1]) & known[begin : end + 1]).any()
    ]


def _split(relative: np.ndarray, begin: int, end: int) -> list[tuple[int, int]]:
    part = relative[begin : end + 1]
    # The best cut is the place that stands highest above the lower of... both sides' minima.
    low_before = np.minimum.accumulate(part)
    low_after = np.minimum.accumulate(part[::-1])[::-1]
    shallower = np.maximum(low_before, low_after)
    recovered = (part - shallower) / np.maximum(1 - shallower, 1e-6)
    recovered = np.where(1 - shallower >= 0.5 * LEAST_STENOSIS, recovered, 0.0)
    best = int(np.argmax(recovered))
    if recovered[best] < RECOVERY:
        return [(begin, end)]
    return _split(relative, begin, begin + best) + _split(relative, begin + best, end)


def _recovered(relative: np.ndarray, begin: int, end: int, first: int, last: int) -> tuple[int, int] | None:
    """Return where a dip has regained three quarters of its depth; None where it does not before the distal end.

    A vessel that stays narrow to its end has tapered, or another vessel begins. Proximally a lesion may reach
    to the ostium.
    """
    bottom = begin + int(np.argmin(relative[begin : end + 1]))
    enough = 1 - (1 - relative[bottom]) * (1 - REGAINED)
    before = np.flatnonzero(relative[first : bottom + 1] >= enough)
    after = np.flatnonzero(relative[bottom : last + 1] >= enough)
    if not len(after):
        return None
    begin, end = (first + int(before[-1]) if len(before) else first), bottom + int(after[0])
    half = 1 - (1 - relative[bottom]) / 2
    half_begin = np.flatnonzero(relative[begin : bottom + 1] >= half)
    half_end = np.flatnonzero(relative[bottom : end + 1] >= half)
    if len(half_begin) and len(half_end):
        width = bottom + int(half_end[0]) - begin - int(half_begin[-1])
        if end - begin > PLATEAU * width:
            return max(begin + int(half_begin[-1] - width / 6), begin), min(
                bottom + int(half_end[0] + width / 6), end
            )
    return begin, end


def _window(
    relative: np.ndarray, begin: int, end: int, first: int, last: int, reference: np.ndarray
) -> tuple[int, int]:
    """Return the surroundings of a dip: up to the next one's slope, a run's length on either side."""
    extra = int(max(end - begin, 1.5 * reference[begin : end + 1].mean() / SPACING_PX))
    low, high = max(begin - extra, first), min(end + extra, last)
    before, after = relative[low : begin + 1], relative[end : high + 1]
    # Where it falls again, another stenosis begins.
    top = begin - (len(before) - 1 - int(np.argmax(before)))
    if top > low and before[: top - low].min(initial=1.0) < relative[top] - 0.08:
        low = top
    top = end + int(np.argmax(after))
    if top < high and after[top - end :].min(initial=1.0) < relative[top] - 0.08:
        high = top
    return low, high


def _shape(at: np.ndarray, begin: float, floor: float, floor_end: float, end: float) -> np.ndarray:
    """Return a plateau of height 1 with half-cosine flanks."""
    rise = np.clip((at - begin) / max(floor - begin, 1e-6), 0, 1)
    fall = np.clip((end - at) / max(end - floor_end, 1e-6), 0, 1)
    return 0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall))


def _borders(
    profile: VesselProfile, relative: np.ndarray, begin: int, end: int, window: tuple[int, int]
) -> tuple[int, int]:
    low, high = window
    inside = np.arange(low, high + 1)
    rows = inside[profile.is_measured[inside]]
    rows = rows[:: max(1, len(rows) // 150)]
    if len(rows) < 8:
        return begin, end
    depth = np.clip(1 - profile.diameter_px[rows] / profile.reference_px[rows], -0.3, 1.0)
    at = rows.astype(float)
    length = max(WHOLE * (end - begin), 6.0)  # from three quarters regained to all of it
    deepest = float(1 - relative[begin : end + 1].min())
    bottom = begin + int(np.argmin(relative[begin : end + 1]))

    def unpack(p: np.ndarray) -> tuple[float, float, float, float]:
        flank1, floor, flank2 = np.exp(np.clip(p[1:4], -2.0, 8.0))
        return p[0] - floor / 2 - flank1, p[0] - floor / 2, p[0] + floor / 2, p[0] + floor / 2 + flank2

    along = (at - low) / max(high - low, 1)

    def residuals(p: np.ndarray) -> np.ndarray:
        shoulder = p[5] + (p[6] - p[5]) * along
        shape = _shape(at, *unpack(p))
        scaled = (shoulder + (p[4] - shoulder) * shape - depth) / SOFT_DEPTH
        robust = np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1))  # their squares are the robust "soft L1" loss
        return np.append(robust, SHOULDER_STIFFNESS * p[5:] / SOFT_DEPTH)

    best, least = None, np.inf
    for share in (0.1, 0.5):
        flank = np.log((1 - share) / 2 * length)
        start = np.array(
            [
                (begin + end) / 2 if share > 0.3 else bottom,
                flank,
                np.log(share * length),
                flank,
                deepest,
                0,
                0,
            ]
        )
        found = leastsq(residuals, start, maxfev=250, full_output=True)[0]  # full: without its warnings
        cost = float(np.square(residuals(found)).sum())
        if cost < least:
            best, least = found, cost
    if best is None or not 0.5 * deepest <= best[4] <= 1.5 * deepest + 0.05:
        return begin, end
    left, _, _, right = unpack(best)
    left, right = int(np.clip(round(left), low, bottom)), int(np.clip(round(right), bottom, high))
    return left, max(right, left + 1)


def minimum_sigma(begin: int, end: int) -> float:
    """Return the width in samples of the regression that finds the smallest diameter between two borders.

    A twelfth of the length: wider ones fill the narrowing, narrower ones follow the mask's grid. On exact masks
    of 25 lesions 1 px as the least gave 2.7 points of mean absolute error of %DS, 1.5 px gave 3.0.
    """
    return float(np.clip((end - begin) * SPACING_PX / 12, 1.0, 6.0)) / SPACING_PX


def _measured(profile: VesselProfile, relative: np.ndarray, begin: int, end: int) -> Stenosis:
    inside = np.arange(begin, end + 1)
    occluded = inside[profile.occluded[inside]]
    if len(occluded):
        return Stenosis(begin, int(occluded[len(occluded) // 2]), end, 0.0, True)
    sigma = minimum_sigma(begin, end)
    low, high = max(begin - int(4 * sigma), 0), min(end + int(4 * sigma) + 1, len(relative))
    fitted = smooth(profile.diameter_px[low:high], profile.is_measured[low:high], sigma)[
        begin - low : end + 1 - low
    ]
    usable = profile.is_measured[inside] & np.isfinite(fitted)
    if not usable.any():
        lowest = begin + int(np.argmin(relative[inside]))
        return Stenosis(begin, lowest, end, float(relative[lowest] * profile.reference_px[lowest]), False)
    lowest = int(np.argmin(np.where(usable, fitted, np.inf)))
    return Stenosis(begin, begin + lowest, end, float(max(fitted[lowest], 0.0)), False)


def _without_overlap(stenoses: list[Stenosis]) -> list[Stenosis]:
    """Let each stretch belong to one stenosis: borders that overlap meet half-way between them.

    Two dips that turned out to be narrowest at one place, or at their common border, are one stenosis.
    """
    ordered = sorted(stenoses, key=lambda one: one.minimum)
    result: list[Stenosis] = []
    for stenosis in ordered:
        if result and stenosis.begin < result[-1].end:
            before = result[-1]
            middle = int(np.clip((stenosis.begin + before.end) // 2, before.minimum, stenosis.minimum))
            if middle in (before.minimum, stenosis.minimum):
                narrower = min(before, stenosis, key=lambda one: one.minimum_lumen_diameter_px)
                begin, end = min(before.begin, stenosis.begin), max(before.end, stenosis.end)
                result[-1] = replace(narrower, begin=begin, end=end)
                continue
            result[-1] = replace(before, end=middle)
            stenosis = replace(stenosis, begin=middle)
        result.append(stenosis)
    return result
