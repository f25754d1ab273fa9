"""Diameters read in the angiogram itself: the shadow of a round lumen fitted to the grey values across it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates, median_filter

#: Read the lumen in an angiogram: same arguments and same result as :func:`lumen_diameters`.
LumenFinder = Callable[
    [np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, float]
]

STEP_PX = 0.5  # between two samples across the vessel
ALONG_PX = 1.0  # standard deviation by which grey values are smoothed along the vessel
BLUR_PX = 1.0  # of focal spot and detector, as a standard deviation
INDEPENDENT = 0.07  # part of the samples that is independent of the others
EVERY = 6  # points; each sixth is enough to see whether shadows are round
CLEARLY = 0.7  # of the misfit of round shadows; thin vessels, blurred, fit either
WINDOW_STEP = 0.25  # between half-lengths of lines across, in their logarithm
BEYOND = 1.3  # half-length of a line across, in radii of the vessel, and
BEYOND_PX = 3.0  # this much more for the background
RADII = np.geomspace(0.3, 64.0, 48)  # that are tried, in px
OFFSETS_PX = np.arange(-2.0, 2.01, 0.5)  # of the middle, that are tried
OPACITY_PX = 60.0  # length over which the contrast agent has the same density
OPACITY_RANGE = (0.95, 1.05)  # about that density
# Standard deviation of a narrow lumen's diameter, so that intervals hold the truth on phantoms (docs/qca.md).
SHADOW_ERROR_PX = 1.0
CHANGE = 1.5  # price of a change of the radius by its own size, in noise deviations squared


def lumen_diameters(
    image: np.ndarray, points: np.ndarray, across: np.ndarray, width_px: np.ndarray, trusted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit the shadow of a round lumen to the angiogram across each point.

    Along a line across, a round vessel of radius r takes away 2·opacity·sqrt(r² − t²) of the grey value, blurred.
    The opacity is that of the neighbourhood, so that a lumen narrower than the blur shows by its faintness (as in
    densitometry) and a wide one by its edges. The radii along the vessel are those of the least sum of misfits
    and changes (dynamic programming).

    Args:
        image: (H, W), contrast agent dark.
        points, across: (N, 2) midline and unit vectors across it.
        width_px: (N,) diameter by the probability, without NaN.
        trusted: (N,) bool, where that is the diameter of this vessel alone.

    Returns:
        Diameters (N,), offsets of their middles from the points along `across` (N,), and the standard deviation of the
        diameters in px.
    """
    guess = _half_width(width_px)
    radii = RADII[: _radii_tried(guess)]
    fits = _fit_shadows(image, points, across, guess, len(radii))
    misfit = fits.misfit(fits.opacity(trusted))
    offset = misfit.argmin(axis=2)
    misfit = misfit.min(axis=2)
    noise = max(float(np.median(misfit.min(axis=1) / fits.samples)), 1e-9)
    # Neighbouring samples are not independent.
    cost = misfit / noise * INDEPENDENT
    chosen = _cheapest(cost, CHANGE * np.abs(np.log(radii[:, None] / radii[None, :])))
    middle = OFFSETS_PX[offset[np.arange(len(points)), chosen]]
    return 2 * _between(cost, chosen, radii), middle, SHADOW_ERROR_PX


@dataclass(frozen=True, eq=False)
class _ShadowFits:
    """Hold least-squares fits of shadows of every radius (R) and offset (O) to the grey values at every point (N).

    Attributes:
        match: (N, R, O), scalar products of grey values and shadows of opacity 1.
        power: (N, R, O), sums of squares of the shadows.
        energy: (N,), sums of squares of the grey values.
        samples: (N,), lengths of the lines across.
    """

    match: np.ndarray
    power: np.ndarray
    energy: np.ndarray
    samples: np.ndarray

    def opacity(self, trusted: np.ndarray) -> np.ndarray:
        """Return the opacity along the vessel, (N,): a running median of the best free fits at trusted points."""
        free = self.match / self.power
        flat = (self.energy[:, None, None] - self.match * free).reshape(len(free), -1).argmin(axis=1)
        best = free.reshape(len(free), -1)[np.arange(len(free)), flat]
        used = np.flatnonzero(trusted & (best > 0))
        if len(used) < 4:
            return np.full(len(free), max(float(np.median(best)), 1e-6))
        size = min(int(2 * OPACITY_PX / STEP_PX) | 1, 2 * len(used) - 1)
        return np.interp(np.arange(len(free)), used, median_filter(best[used], size=size, mode="nearest"))

    def misfit(self, opacity: np.ndarray) -> np.ndarray:
        """Return the sums of squared misfits (N, R, O) by shadows of about the given opacity (N,)."""
        opacity = opacity[:, None, None]
        used = np.clip(self.match / self.power, OPACITY_RANGE[0] * opacity, OPACITY_RANGE[1] * opacity)
        return self.energy[:, None, None] - 2 * used * self.match + used**2 * self.power


def _fit_shadows(
    image: np.ndarray, points: np.ndarray, across: np.ndarray, guess: np.ndarray, radii: int
) -> _ShadowFits:
    shape = (len(points), radii, len(OFFSETS_PX))
    match, power = np.zeros(shape), np.ones(shape)
    energy, samples = np.zeros(len(points)), np.zeros(len(points))
    for window, index, grey in _across(image, points, across, guess):
        shadows, energies = _templates(window, True)
        match[index] = (grey @ shadows[:radii].reshape(-1, grey.shape[1]).T).reshape(-1, *shape[1:])
        power[index] = energies[:radii]
        energy[index] = np.square(grey).sum(axis=1)
        samples[index] = grey.shape[1]
    return _ShadowFits(match, power, energy, samples)


def shows_depth(
    image: np.ndarray, points: np.ndarray, across: np.ndarray, width_px: np.ndarray, trusted: np.ndarray
) -> bool:
    """Say whether a vessel's grey values tell of its depth, as in an angiogram.

    Not where flat bands fit clearly better than round shadows: in a drawing, or a picture of another kind.

    Args:
        image, points, across, width_px, trusted: as of :func:`lumen_diameters`.
    """
    guess = _half_width(width_px)
    count = _radii_tried(guess)
    misfit = {True: 0.0, False: 0.0}
    for window, index, grey in _across(image, points, across, guess):
        grey = grey[np.flatnonzero(trusted[index])[::EVERY]]
        if not len(grey):
            continue
        for is_round in misfit:
            shapes, energies = (one[:count] for one in _templates(window, is_round))
            match = (grey @ shapes.reshape(-1, grey.shape[1]).T).reshape(-1, *energies.shape)
            explained = (np.maximum(match, 0) ** 2 / energies).max(axis=(1, 2))
            misfit[is_round] += float((np.square(grey).sum(axis=1) - explained).sum())
    return misfit[False] >= CLEARLY * misfit[True]


def _half_width(width_px: np.ndarray) -> np.ndarray:
    return np.clip(width_px / 2, 0.5, RADII[-1] / 1.5 - 1)


def _radii_tried(guess: np.ndarray) -> int:
    """Return how many of `RADII` come into question for guessed radii (N,)."""
    return int(np.searchsorted(RADII, 1.5 * guess.max() + 1)) + 1


def _across(
    image: np.ndarray, points: np.ndarray, across: np.ndarray, guess: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each length of line, the points that have it, and the grey values across them without background."""
    windows = np.round(np.log(guess) / WINDOW_STEP).astype(int)
    for window in np.unique(windows).tolist():
        index = np.flatnonzero(windows == window)
        t, background = _line(window)
        near = np.arange(max(index[0] - 12, 0), min(index[-1] + 13, len(points)))
        places = points[near, None] + t[None, :, None] * across[near, None]
        grey = -map_coordinates(image, places.transpose(2, 0, 1), order=1, mode="nearest").astype(np.float64)
        grey = gaussian_filter1d(grey, ALONG_PX / STEP_PX, axis=0, mode="nearest")[index - near[0]]
        yield window, index, grey - (grey @ background) @ background.T


@cache
def _line(window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions across (T,) and a basis of straight backgrounds (T, 2)."""
    half = BEYOND * float(np.exp(window * WINDOW_STEP)) + BEYOND_PX
    t = np.arange(-half, half + STEP_PX / 2, STEP_PX)
    return t, np.linalg.qr(np.column_stack([np.ones(len(t)), t]))[0]


@cache
def _shadows(is_round: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return positions across, and the shadow there of a lumen (or a flat band) of each radius, opacity 1."""
    fine = np.arange(-RADII[-1] - 8, RADII[-1] + 8, 0.05)
    depth = 2 * np.sqrt(np.maximum(RADII[:, None] ** 2 - fine**2, 0.0))
    sharp = depth if is_round else (depth > 0).astype(float)
    return fine, gaussian_filter1d(sharp, BLUR_PX / 0.05, axis=1)


@cache
def _templates(window: int, is_round: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return shadows without straight backgrounds, of every radius and offset, and their energies."""
    t, background = _line(window)
    fine, drawn = _shadows(is_round)
    shadows = np.array([[np.interp(t - offset, fine, one) for offset in OFFSETS_PX] for one in drawn])
    shadows = shadows - (shadows @ background) @ background.T
    return shadows, np.maximum(np.square(shadows).sum(axis=-1), 1e-9)


def _cheapest(cost: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the states (N,) with the least sum of their costs (N, R) and of changes (R, R), by dynamic programming."""
    total = cost[0].copy()
    came = np.zeros(cost.shape, dtype=int)
    for point in range(1, len(cost)):
        step = total[None, :] + change
        came[point] = step.argmin(axis=1)
        total = step[np.arange(len(total)), came[point]] + cost[point]
    chosen = np.zeros(len(cost), dtype=int)
    chosen[-1] = int(total.argmin())
    for point in range(len(cost) - 1, 0, -1):
        chosen[point - 1] = came[point, chosen[point]]
    return chosen


def _between(cost: np.ndarray, chosen: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Refine the chosen radius by a parabola through its neighbours' costs."""
    point = np.arange(len(cost))
    middle = np.clip(chosen, 1, len(radii) - 2)
    low, mid, high = cost[point, middle - 1], cost[point, middle], cost[point, middle + 1]
    curve = low - 2 * mid + high
    shift = np.where(curve > 1e-9, 0.5 * (low - high) / np.maximum(curve, 1e-9), 0.0)
    step = np.log(radii[1] / radii[0])
    return np.where(chosen == middle, radii[middle] * np.exp(np.clip(shift, -0.5, 0.5) * step), radii[chosen])
