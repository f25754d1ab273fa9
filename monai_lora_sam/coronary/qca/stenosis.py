"""Stenoses along one vessel: stretches in which its diameter falls below the reference and comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import leastsq

from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import EMPTY_PX, VesselProfile
from monai_lora_sam.coronary.qca.samples import fill, smooth, stretches

LEAST_STENOSIS = 0.20  # of the reference diameter
LEAST_DEPTH_PX = 1.2  # of a narrowing; a mask's grid makes up shallower ones
LEAST_OSTIAL_STENOSIS = 0.35  # of the reference, where no lumen before it shows the healthy width
LEAST_SEEN = 0.3  # part of a stenosis that must have been measured; the rest lies beside other vessels
LEAST_LENGTH = 0.6  # in reference diameters; a shorter dent is one of the mask
LEAST_LENGTH_PX = 4.0  # the same, at least
WHOLE = 1.4  # length of a dip, over that between the points where three quarters are regained
SHOULDER_STIFFNESS = 2.0  # with which a vessel beside its stenosis is held to the reference
SOFT_DEPTH = 0.08  # relative depth; misfits beyond it count less than squared
REGAINED = 0.75  # of a dip's depth, before the vessel's distal end
# Of a narrowing's width at half its depth; where it takes longer to regain the rest, the reference is too high there.
PLATEAU = 3.0
RECOVERY = 0.5  # of the shallower dip's depth; regained between two dips, it makes them two stenoses
ANOTHER_DIP = 0.08  # of the reference, by which the lumen falls again where another dip begins
BORDER_POINTS = 150  # at most, that borders are fitted to
LEAST_BORDER_POINTS = 8  # at least
FLOOR_SHARES = (0.1, 0.5)  # of a dip's length: lengths of the floor that the fit of the borders starts from


@dataclass(frozen=True)
class Stenosis:
    """Hold one narrowing by the indices of its points on the profile."""

    begin: int
    minimum: int
    end: int
    minimum_lumen_diameter_px: float
    total_occlusion: bool


def inside_stenoses(stenoses: Sequence[Stenosis], count: int) -> np.ndarray:
    """Say which of a vessel's points lie inside any of its stenoses, (count,) bool."""
    inside = np.zeros(count, dtype=bool)
    for stenosis in stenoses:
        inside[stenosis.begin : stenosis.end + 1] = True
    return inside


def find_stenoses(profile: VesselProfile, fit_borders: bool = True) -> list[Stenosis]:
    """Find the narrowings of a vessel whose `reference_px` is known, from proximal to distal.

    A candidate is a stretch below the reference, at its lowest by 20 % and 1.2 px at least. Its borders
    are those of a half-cosine flank, a floor and another half-cosine flank, fitted to the relative diameters
    of the stretch and its surroundings: they lie where the narrowing begins, which a threshold puts too far
    inside. The smallest diameter is that of a local quadratic regression whose width follows the lesion's.

    Args:
        profile: the vessel.
        fit_borders: without it they are only roughly right, and found faster.
    """
    if not np.isfinite(profile.reference_px).all():
        return []
    known = profile.is_measured & np.isfinite(profile.smoothed_px)
    if not known.any():
        return []
    lumen = _RelativeLumen.of(profile, known)
    stenoses = []
    for dip in _dips(lumen, known):
        limits = _recovered(lumen, *dip)
        if limits is None:
            continue
        ostial = limits[0] == lumen.first
        if ostial and not profile.direction_known:
            continue
        window = _window(lumen, *limits)
        fitted = _borders(profile, lumen, *limits, window) if fit_borders else _rough_borders(*limits, window)
        stenosis = _measured(profile, lumen.relative, *fitted)
        if _counts(profile, stenosis, ostial):
            stenoses.append(stenosis)
    return _without_overlap(stenoses)


@dataclass(frozen=True, eq=False)
class _RelativeLumen:
    """Hold the diameters of a vessel over its reference.

    Attributes:
        relative: (N,) smoothed diameter over reference, interpolated where it is not known.
        reference: (N,) in px.
        first, last: points between which the diameter is known.
    """

    relative: np.ndarray
    reference: np.ndarray
    first: int
    last: int

    @classmethod
    def of(cls, profile: VesselProfile, known: np.ndarray) -> _RelativeLumen:
        reference = profile.reference_px
        relative = fill(np.where(known, profile.smoothed_px, np.nan) / reference, known)
        first, last = np.flatnonzero(known)[[0, -1]]
        return cls(relative, reference, first, last)


def _counts(profile: VesselProfile, stenosis: Stenosis, ostial: bool) -> bool:
    """Say whether a narrowing is long, deep and well enough seen to be a stenosis."""
    if stenosis.total_occlusion:
        return True
    width = profile.reference_px[stenosis.minimum]
    narrowing = 1 - stenosis.minimum_lumen_diameter_px / width
    length = (stenosis.end - stenosis.begin) * SPACING_PX
    seen = profile.is_measured[stenosis.begin : stenosis.end + 1].mean()
    return bool(
        length >= max(LEAST_LENGTH * width, LEAST_LENGTH_PX)
        and narrowing >= (LEAST_OSTIAL_STENOSIS if ostial else LEAST_STENOSIS)
        and narrowing * width >= LEAST_DEPTH_PX
        and seen >= LEAST_SEEN
    )


def _dips(lumen: _RelativeLumen, known: np.ndarray) -> list[tuple[int, int]]:
    """Return stretches (begin, end) below the reference, cut where the lumen recovers between two minima."""
    relative = lumen.relative
    least = np.maximum(LEAST_STENOSIS, LEAST_DEPTH_PX / lumen.reference)
    shallow = 1 - np.clip(0.35 * least, 0.05, 0.5)
    index = np.arange(len(relative))
    below = (relative < shallow) & (index >= lumen.first) & (index <= lumen.last)
    parts = [part for begin, end in stretches(below) for part in _split(relative, begin, end - 1)]
    deep = (1 - relative >= 0.9 * least) & known
    return [(begin, end) for begin, end in parts if deep[begin : end + 1].any()]


def _split(relative: np.ndarray, begin: int, end: int) -> list[tuple[int, int]]:
    """Cut a stretch (begin, end), both included, wherever the lumen recovers enough between two minima."""
    part = relative[begin : end + 1]
    # The best cut stands highest above the shallower one of the minima on both sides.
    low_before = np.minimum.accumulate(part)
    low_after = np.minimum.accumulate(part[::-1])[::-1]
    shallower = np.maximum(low_before, low_after)
    recovered = (part - shallower) / np.maximum(1 - shallower, 1e-6)
    recovered = np.where(1 - shallower >= 0.5 * LEAST_STENOSIS, recovered, 0.0)
    best = int(np.argmax(recovered))
    if recovered[best] < RECOVERY:
        return [(begin, end)]
    return _split(relative, begin, begin + best) + _split(relative, begin + best, end)


def _recovered(lumen: _RelativeLumen, begin: int, end: int) -> tuple[int, int] | None:
    """Return where a dip has regained three quarters of its depth; None where it does not before the distal end.

    A vessel that stays narrow to its end has tapered, or another vessel begins. Proximally a lesion may reach
    to the ostium.
    """
    bottom = _lowest(lumen, begin, end)
    left, right = _regained(lumen, bottom, REGAINED, lumen.first, lumen.last)
    if right is None:
        return None
    begin, end = lumen.first if left is None else left, right
    half_left, half_right = _regained(lumen, bottom, 0.5, begin, end)
    if half_left is None or half_right is None:
        return begin, end
    width = half_right - half_left
    if end - begin <= PLATEAU * width:
        return begin, end
    return max(int(half_left - width / 6), begin), min(int(half_right + width / 6), end)


def _lowest(lumen: _RelativeLumen, begin: int, end: int) -> int:
    return begin + int(np.argmin(lumen.relative[begin : end + 1]))


def _regained(
    lumen: _RelativeLumen, bottom: int, share: float, first: int, last: int
) -> tuple[int | None, int | None]:
    """Return the nearest points on either side of a dip's bottom that have regained a share of its depth."""
    enough = 1 - (1 - lumen.relative[bottom]) * (1 - share)
    before = np.flatnonzero(lumen.relative[first : bottom + 1] >= enough)
    after = np.flatnonzero(lumen.relative[bottom : last + 1] >= enough)
    left = first + int(before[-1]) if len(before) else None
    return left, bottom + int(after[0]) if len(after) else None


def _window(lumen: _RelativeLumen, begin: int, end: int) -> tuple[int, int]:
    """Return the surroundings of a dip: up to the next one's slope, a dip's length on either side."""
    relative, reference = lumen.relative, lumen.reference
    extra = int(max(end - begin, 1.5 * reference[begin : end + 1].mean() / SPACING_PX))
    low, high = max(begin - extra, lumen.first), min(end + extra, lumen.last)
    before, after = relative[low : begin + 1], relative[end : high + 1]
    # Where it falls again, another stenosis begins.
    top = begin - (len(before) - 1 - int(np.argmax(before)))
    if top > low and before[: top - low].min(initial=1.0) < relative[top] - ANOTHER_DIP:
        low = top
    top = end + int(np.argmax(after))
    if top < high and after[top - end :].min(initial=1.0) < relative[top] - ANOTHER_DIP:
        high = top
    return low, high


def _rough_borders(begin: int, end: int, window: tuple[int, int]) -> tuple[int, int]:
    margin = int((WHOLE - 1) / 2 * (end - begin))
    return max(begin - margin, window[0]), min(end + margin, window[1])


def _borders(
    profile: VesselProfile, lumen: _RelativeLumen, begin: int, end: int, window: tuple[int, int]
) -> tuple[int, int]:
    """Return where the flanks of a dip begin, by a fit to its relative depth; the given ones where none fits."""
    low, high = window
    used = np.arange(low, high + 1)
    used = used[profile.is_measured[used]]
    used = used[:: max(1, len(used) // BORDER_POINTS)]
    if len(used) < LEAST_BORDER_POINTS:
        return begin, end
    depth = np.clip(1 - profile.diameter_px[used] / profile.reference_px[used], -0.3, 1.0)
    dip = _DipFit(used.astype(float), depth, low, high)
    bottom = _lowest(lumen, begin, end)
    deepest = float(1 - lumen.relative[begin : end + 1].min())
    best = dip.fitted(begin, end, bottom, deepest)
    if best is None or not 0.5 * deepest <= best[4] <= 1.5 * deepest + 0.05:
        return begin, end
    left, _, _, right = dip.corners(best)
    left, right = int(np.clip(round(left), low, bottom)), int(np.clip(round(right), bottom, high))
    return left, max(right, left + 1)


@dataclass(frozen=True, eq=False)
class _DipFit:
    """Fit half-cosine flanks and a floor, between two shoulders, to relative depths.

    The parameters are the middle of the floor, the logarithms of the lengths of flank, floor and flank, the depth
    of the floor, and the depths of the shoulders at both ends of the window.

    Attributes:
        at: (N,) the points' indices.
        depth: (N,) their relative depth.
        low, high: the window's ends.
    """

    at: np.ndarray
    depth: np.ndarray
    low: int
    high: int

    @staticmethod
    def corners(p: np.ndarray) -> tuple[float, float, float, float]:
        """Return where the first flank, the floor, the second flank and the healthy vessel begin."""
        flank1, floor, flank2 = np.exp(np.clip(p[1:4], -2.0, 8.0))
        return p[0] - floor / 2 - flank1, p[0] - floor / 2, p[0] + floor / 2, p[0] + floor / 2 + flank2

    def residuals(self, p: np.ndarray) -> np.ndarray:
        """Return residuals whose squares are the robust "soft L1" loss, and those of the shoulders."""
        along = (self.at - self.low) / max(self.high - self.low, 1)
        shoulder = p[5] + (p[6] - p[5]) * along
        shape = _shape(self.at, *self.corners(p))
        scaled = (shoulder + (p[4] - shoulder) * shape - self.depth) / SOFT_DEPTH
        robust = np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1))
        return np.append(robust, SHOULDER_STIFFNESS * p[5:] / SOFT_DEPTH)

    def fitted(self, begin: int, end: int, bottom: int, deepest: float) -> np.ndarray | None:
        """Return the better one of the fits that start from a short and a long floor; None where both fail."""
        length = max(WHOLE * (end - begin), 6.0)  # from three quarters regained to all of it
        best, least = None, np.inf
        for share in FLOOR_SHARES:
            flank = np.log((1 - share) / 2 * length)
            middle = (begin + end) / 2 if share > 0.3 else bottom
            start = np.array([middle, flank, np.log(share * length), flank, deepest, 0, 0])
            # Full output keeps it from warning.
            found = leastsq(self.residuals, start, maxfev=250, full_output=True)[0]
            cost = float(np.square(self.residuals(found)).sum())
            if cost < least:
                best, least = found, cost
        return best


def _shape(at: np.ndarray, begin: float, floor: float, floor_end: float, end: float) -> np.ndarray:
    """Return a plateau of height 1 with half-cosine flanks."""
    rise = np.clip((at - begin) / max(floor - begin, 1e-6), 0, 1)
    fall = np.clip((end - at) / max(end - floor_end, 1e-6), 0, 1)
    return 0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall))


def minimum_sigma(begin: int, end: int) -> float:
    """Return the width in samples of the regression that finds the smallest diameter between two borders.

    A twelfth of the length: wider ones fill the narrowing, narrower ones follow the mask's grid. On exact masks
    of 25 lesions 1 px as the least gave 2.7 points of mean absolute error of %DS, 1.5 px gave 3.0.
    """
    return float(np.clip((end - begin) * SPACING_PX / 12, 1.0, 6.0)) / SPACING_PX


def _measured(profile: VesselProfile, relative: np.ndarray, begin: int, end: int) -> Stenosis:
    """Measure the smallest diameter between two borders; 0 where the vessel is occluded there.

    So it is in a gap, and where the lumen is smaller than the picture can show.
    """
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
        diameter = float(relative[lowest] * profile.reference_px[lowest])
    else:
        lowest = begin + int(np.argmin(np.where(usable, fitted, np.inf)))
        diameter = float(fitted[lowest - begin])
    closed = diameter < EMPTY_PX
    return Stenosis(begin, lowest, end, 0.0 if closed else diameter, closed)


def _without_overlap(stenoses: list[Stenosis]) -> list[Stenosis]:
    """Let each stretch belong to one stenosis: borders that overlap meet half-way between them.

    Two dips that turned out to be narrowest at one point, or at their common border, are one stenosis.
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
