"""The reference diameter: what a vessel's lumen would be without disease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UPPER_QUANTILE = 0.75  # disease narrows: the fit starts from the wide parts
TAPER_LIMIT = 0.04  # largest relative loss of diameter over a length of one diameter
OUTLIER = 2.5  # deviations
LEAST_DEVIATION = 0.03  # relative; healthy vessels are not smoother
STEP_FREEDOM = 0.5  # deviation of a step from Murray's law, as a part of it
BEHIND_DIAMETERS = 4.0  # stretch behind a bifurcation that shows how wide the vessel goes on
LARGEST_RATIO = 1.5  # of a side branch's diameter to that; beyond, the vessel behind is diseased
FIT_SPACING = 3  # every so many points are used
ROUNDS = 12  # of reweighting, at most
SETTLED = 1e-4  # relative change of the line by a round that ends them


@dataclass(frozen=True)
class SideBranch:
    """A branch that leaves a vessel: where along it, and its own reference diameter, in px."""

    arc_px: float
    diameter_px: float


def reference_line(
    arc_px: np.ndarray,
    diameter_px: np.ndarray,
    usable: np.ndarray,
    side_branches: Sequence[SideBranch] = (),
    direction_known: bool = True,
) -> np.ndarray:
    """Fit the reference diameter along a vessel from its proximal to its distal end, (N,) in px.

    The logarithm of the diameter is a line with a step at each side branch. The step is drawn towards
    Murray's law (PNAS 1926;12:207-214): the cube of the parent's diameter is the sum of the cubes behind the
    bifurcation. The slope is limited to a physiologic taper. The fit starts as a regression to the upper
    quartile, so that it rests on the wide parts of a diseased vessel, and goes on by least squares over what
    lies within 2.5 deviations of it (Tukey's biweight).

    Args:
        arc_px: (N,) distance along the vessel.
        diameter_px: (N,) diameters.
        usable: (N,) bool, measured and outside of known lesions.
        side_branches: those that leave the vessel.
        direction_known: whether `arc_px` surely starts at the proximal end.

    Returns:
        The reference at every point; NaN everywhere where fewer than four points are usable.
    """
    rows = np.flatnonzero(usable & np.isfinite(diameter_px) & (diameter_px > 0))
    if len(rows) < 4:
        return np.full(len(arc_px), np.nan)
    rows = rows[:: FIT_SPACING if len(rows) > 40 else 1]
    typical = float(np.quantile(diameter_px[rows], UPPER_QUANTILE))
    values = np.log(np.maximum(diameter_px[rows], 0.05 * typical) / typical)
    steps = _murray_steps(side_branches, arc_px[rows], diameter_px[rows], typical)
    design = _design(arc_px, steps, typical)
    prior, stiffness = _prior(steps, len(rows))
    bounds = (-TAPER_LIMIT, 0.0 if direction_known else TAPER_LIMIT)
    known = design[rows]
    # Wide places are measured better in relation to their width.
    precision = np.clip(diameter_px[rows] / typical, 0.3, 1.2) ** 2
    fitted = _solve(known, values, precision, prior, stiffness, bounds)
    residual = values - known @ fitted
    for _ in range(ROUNDS):
        slope = np.where(residual > 0, UPPER_QUANTILE, 1 - UPPER_QUANTILE)
        weights = precision * slope / np.maximum(np.abs(residual), 0.01)
        fitted = _solve(known, values, weights, prior, stiffness, bounds)
        before, residual = residual, values - known @ fitted
        if np.abs(residual - before).max() < SETTLED:
            break
    # The quantile regression lies above the healthy wall by what the noise is; least squares goes back.
    for _ in range(ROUNDS):
        near = np.abs(residual) < 4 * LEAST_DEVIATION
        spread = 1.4826 * float(np.median(np.abs(residual[near]))) if near.sum() > 3 else LEAST_DEVIATION
        limit = OUTLIER * min(max(spread, LEAST_DEVIATION), 2 * LEAST_DEVIATION) * 1.6
        weights = np.maximum(1 - (residual / limit) ** 2, 0.0) ** 2
        if weights.sum() < 2:
            break
        fitted = _solve(known, values, precision * weights, prior, stiffness, bounds)
        before, residual = residual, values - known @ fitted
        if np.abs(residual - before).max() < SETTLED:
            break
    return typical * np.exp(design @ fitted)


def _murray_steps(
    side_branches: Sequence[SideBranch], arc: np.ndarray, diameter: np.ndarray, typical: float
) -> list[tuple[float, float]]:
    """Return where the vessel steps down, and by how much of the logarithm of its diameter."""
    steps = []
    for branch in sorted(side_branches, key=lambda one: one.arc_px):
        behind = diameter[(arc > branch.arc_px) & (arc < branch.arc_px + BEHIND_DIAMETERS * typical)]
        daughter = float(np.quantile(behind, UPPER_QUANTILE)) if len(behind) >= 4 else typical
        loss = float(np.log1p(min(branch.diameter_px / daughter, LARGEST_RATIO) ** 3) / 3)
        if loss > 0.01:
            steps.append((branch.arc_px, loss))
    return steps


def _design(arc: np.ndarray, steps: Sequence[tuple[float, float]], typical: float) -> np.ndarray:
    columns = [np.ones(len(arc)), (arc - arc.mean()) / typical]
    # The vessel goes over to its new width over one diameter behind the bifurcation.
    columns += [np.clip((arc - place) / typical, 0.0, 1.0) for place, _ in steps]
    return np.column_stack(columns)


def _prior(steps: Sequence[tuple[float, float]], count: int) -> tuple[np.ndarray, np.ndarray]:
    mean = np.array([0.0, -0.005, *(-loss for _, loss in steps)])
    deviation = np.array([10.0, 0.02, *(STEP_FREEDOM * loss + 0.02 for _, loss in steps)])
    # As sure as if a handful of points, each good to the least deviation, had been seen.
    return mean, 10 * (LEAST_DEVIATION / deviation) ** 2


def _solve(
    design: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    prior: np.ndarray,
    stiffness: np.ndarray,
    bounds: tuple[float, float],
) -> np.ndarray:
    weighted = design.T * weights
    normal = weighted @ design
    normal.flat[:: len(normal) + 1] += stiffness
    right = weighted @ values + stiffness * prior
    solution = np.linalg.solve(normal, right)
    fixed = {}
    if not bounds[0] <= solution[1] <= bounds[1]:
        fixed[1] = float(np.clip(solution[1], *bounds))
    fixed |= {k: 0.0 for k in range(2, len(solution)) if solution[k] > 0}
    if fixed:
        held = sorted(fixed)
        free = [k for k in range(len(solution)) if k not in fixed]
        solution[held] = [fixed[k] for k in held]
        solution[free] = np.linalg.solve(
            normal[np.ix_(free, free)], right[free] - normal[np.ix_(free, held)] @ solution[held]
        )
    return solution
