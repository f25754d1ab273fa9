"""Reference lines: the diameter that each vessel of a picture would have without disease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import DIAMETER_SIGMA_PX, VesselProfile
from monai_lora_sam.coronary.qca.samples import smooth, stretches
from monai_lora_sam.coronary.qca.stenosis import Stenosis, find_stenoses, inside_stenoses

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
# Part of a stenosis' length that is left out on either side besides: its flanks would draw the reference down.
STENOSIS_FLANK = 0.15
MOSTLY = 0.6  # part of a vessel; more of it that came out as stenosis is not believed
ORIGIN_PX = 60.0  # distance from a bifurcation within which a side branch shows how wide it leaves
LEAST_POINTS = 4  # usable ones, for a line or a width
OVERLAP_RATIO = 1.3  # diameter over reference; a vessel by itself is no wider
OVERLAP_FLANK_RATIO = (
    1.12  # diameter over reference, above which the flanks of an overlap are left out as well
)
OVERLAP_DIAMETERS = 5.0  # length of an overlap, at most; a longer stretch is the vessel itself
BEHIND_OVERLAP_PX = 6.0  # distance behind an overlap, where the vessel shows how wide it goes on
HIDDEN_RATIO = 0.7  # diameter of a branch that an overlap may hide, over the vessel's own behind it


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
    used = np.flatnonzero(usable & np.isfinite(diameter_px) & (diameter_px > 0))
    if len(used) < LEAST_POINTS:
        return np.full(len(arc_px), np.nan)
    used = used[:: FIT_SPACING if len(used) > 40 else 1]
    diameter = diameter_px[used]
    typical = float(np.quantile(diameter, UPPER_QUANTILE))
    steps = _murray_steps(side_branches, arc_px[used], diameter, typical)
    design = _design(arc_px, steps, typical)
    mean, stiffness = _prior(steps)
    fit = _Fit(
        design=design[used],
        values=np.log(np.maximum(diameter, 0.05 * typical) / typical),
        # Wide points are measured better in relation to their width.
        precision=np.clip(diameter / typical, 0.3, 1.2) ** 2,
        mean=mean,
        stiffness=stiffness,
        slopes=(-TAPER_LIMIT, 0.0 if direction_known else TAPER_LIMIT),
    )
    return typical * np.exp(design @ fit.without_outliers(fit.upper_quantile()))


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
    columns += [np.clip((arc - step_arc) / typical, 0.0, 1.0) for step_arc, _ in steps]
    return np.column_stack(columns)


def _prior(steps: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and stiffness of the coefficients before any point is seen."""
    mean = np.array([0.0, -0.005, *(-loss for _, loss in steps)])
    deviation = np.array([10.0, 0.02, *(STEP_FREEDOM * loss + 0.02 for _, loss in steps)])
    # As sure as if a handful of points, each good to the least deviation, had been seen.
    return mean, 10 * (LEAST_DEVIATION / deviation) ** 2


@dataclass(frozen=True, eq=False)
class _Fit:
    """Fit the logarithm of the diameter, its slope limited and its steps only downwards.

    Attributes:
        design: (N, K), a row of regressors per point; the second one is the slope's.
        values: (N,) logarithms of the relative diameters.
        precision: (N,) weights of the points.
        mean, stiffness: (K,) of the coefficients before any point is seen.
        slopes: lowest and highest.
    """

    design: np.ndarray
    values: np.ndarray
    precision: np.ndarray
    mean: np.ndarray
    stiffness: np.ndarray
    slopes: tuple[float, float]

    def upper_quantile(self) -> np.ndarray:
        """Return the coefficients (K,) of the regression to the upper quartile."""
        fitted = self._solve(self.precision)
        residual = self._residual(fitted)
        for _ in range(ROUNDS):
            slope = np.where(residual > 0, UPPER_QUANTILE, 1 - UPPER_QUANTILE)
            fitted = self._solve(self.precision * slope / np.maximum(np.abs(residual), 0.01))
            before, residual = residual, self._residual(fitted)
            if np.abs(residual - before).max() < SETTLED:
                break
        return fitted

    def without_outliers(self, fitted: np.ndarray) -> np.ndarray:
        """Return the coefficients (K,) of least squares near a fit.

        The quantile regression lies above the healthy wall by the noise; least squares goes back.
        """
        residual = self._residual(fitted)
        for _ in range(ROUNDS):
            near = np.abs(residual) < 4 * LEAST_DEVIATION
            spread = 1.4826 * float(np.median(np.abs(residual[near]))) if near.sum() > 3 else LEAST_DEVIATION
            limit = OUTLIER * min(max(spread, LEAST_DEVIATION), 2 * LEAST_DEVIATION) * 1.6
            weights = np.maximum(1 - (residual / limit) ** 2, 0.0) ** 2
            if weights.sum() < 2:
                break
            fitted = self._solve(self.precision * weights)
            before, residual = residual, self._residual(fitted)
            if np.abs(residual - before).max() < SETTLED:
                break
        return fitted

    def _residual(self, fitted: np.ndarray) -> np.ndarray:
        return self.values - self.design @ fitted

    def _solve(self, weights: np.ndarray) -> np.ndarray:
        weighted = self.design.T * weights
        normal = weighted @ self.design
        normal.flat[:: len(normal) + 1] += self.stiffness
        right = weighted @ self.values + self.stiffness * self.mean
        solution = np.linalg.solve(normal, right)
        fixed = {}
        if not self.slopes[0] <= solution[1] <= self.slopes[1]:
            fixed[1] = float(np.clip(solution[1], *self.slopes))
        fixed |= {k: 0.0 for k in range(2, len(solution)) if solution[k] > 0}
        if fixed:
            held = sorted(fixed)
            free = [k for k in range(len(solution)) if k not in fixed]
            solution[held] = [fixed[k] for k in held]
            solution[free] = np.linalg.solve(
                normal[np.ix_(free, free)], right[free] - normal[np.ix_(free, held)] @ solution[held]
            )
        return solution


class ReferenceLines:
    """Fit the reference line of each vessel, its stenoses left out, with a step where a side branch leaves.

    Where vessels meet is looked up once; a line is fitted again only where its grounds have changed.

    Args:
        profiles: all vessels of the picture, from proximal to distal.

    Example:
        >>> lines = ReferenceLines(profiles)
        >>> profiles = lines.fit(profiles, [find_stenoses(profile) for profile in lines.fit(profiles)])
    """

    def __init__(self, profiles: list[VesselProfile]) -> None:
        self._meetings = [_meetings(number, profiles) for number in range(len(profiles))]
        self._fitted: dict[int, tuple[tuple[bytes, tuple[SideBranch, ...]], np.ndarray]] = {}

    def fit(
        self, profiles: list[VesselProfile], found: list[list[Stenosis]] | None = None
    ) -> list[VesselProfile]:
        """Return the vessels with their reference lines.

        Args:
            profiles: the same vessels in the same order; their diameters may have changed.
            found: the stenoses of each, as far as they are known.
        """
        found = found or [[] for _ in profiles]
        usable = [_usable(profile, stenoses) for profile, stenoses in zip(profiles, found, strict=True)]
        return [
            replace(profile, reference_px=self._line(number, profiles, usable))
            for number, profile in enumerate(profiles)
        ]

    def _line(self, number: int, profiles: list[VesselProfile], usable: list[np.ndarray]) -> np.ndarray:
        """Return the line of one vessel, fitted again only where its grounds have changed."""
        profile = profiles[number]
        sides = hidden_branches(profile)
        for other, arc_px, origin in self._meetings[number]:
            near = origin[usable[other][origin]]
            if len(near) >= LEAST_POINTS:
                width = float(np.quantile(profiles[other].diameter_px[near], UPPER_QUANTILE))
                sides.append(SideBranch(arc_px, width))
        grounds = usable[number].tobytes(), tuple(sides)
        if number not in self._fitted or self._fitted[number][0] != grounds:
            line = reference_line(
                profile.arc_length_px, profile.diameter_px, usable[number], sides, profile.direction_known
            )
            self._fitted[number] = grounds, line
        return self._fitted[number][1]


def _meetings(number: int, profiles: list[VesselProfile]) -> list[tuple[int, float, np.ndarray]]:
    """Return the vessels that begin or end at a vessel: number, arc length along it, their points near there."""
    points = profiles[number].points_rc
    low, high = points.min(axis=0), points.max(axis=0)
    meetings = []
    for other, side in enumerate(profiles):
        for node in (side.start, side.end):
            if other == number or node is None or node.kind != "bifurcation":
                continue
            at = np.array(node.position_rc)
            # Junctions of three branches have two nodes.
            reach = 2 * node.radius_px + 2
            if (at < low - reach).any() or (at > high + reach).any():
                continue
            distance = np.linalg.norm(points - at, axis=1)
            nearest = int(distance.argmin())
            if distance[nearest] <= reach:
                origin = np.flatnonzero(np.linalg.norm(side.points_rc - at, axis=1) < ORIGIN_PX)
                meetings.append((other, float(profiles[number].arc_length_px[nearest]), origin))
    return meetings


def _usable(profile: VesselProfile, stenoses: list[Stenosis]) -> np.ndarray:
    healthy = profile.is_measured & ~profile.occluded
    free = healthy.copy()
    for stenosis in stenoses:
        margin = int(STENOSIS_FLANK * (stenosis.end - stenosis.begin))
        free[max(stenosis.begin - margin, 0) : stenosis.end + margin + 1] = False
    # A vessel that is all lesion has nothing else to refer to.
    return free if free.sum() >= 8 else healthy


def believable(profile: VesselProfile, stenoses: list[Stenosis]) -> tuple[VesselProfile, list[Stenosis]]:
    """Measure a vessel again that would be stenosed nearly everywhere: direction or side branches were wrong."""
    inside = inside_stenoses(stenoses, len(profile.points_rc))
    usable = profile.is_measured & ~profile.occluded
    if not usable.any() or (inside & usable).sum() < MOSTLY * usable.sum():
        return profile, stenoses
    line = reference_line(profile.arc_length_px, profile.diameter_px, usable, direction_known=False)
    profile = replace(profile, reference_px=line)
    return profile, find_stenoses(profile)


def without_overlaps(profile: VesselProfile) -> VesselProfile:
    """Leave out the short stretches in which a vessel is far wider than its reference line."""
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(profile.is_measured, profile.diameter_px / profile.reference_px, 1.0)
    overlapped = np.zeros(len(relative), dtype=bool)
    for begin, end in stretches(relative > OVERLAP_FLANK_RATIO):
        longest = OVERLAP_DIAMETERS * profile.reference_px[begin] / SPACING_PX
        if relative[begin:end].max() > OVERLAP_RATIO and end - begin < longest:
            overlapped[begin:end] = True
    measured = profile.is_measured & ~overlapped
    if not overlapped.any() or not measured.any():
        return profile
    smoothed = np.maximum(smooth(profile.diameter_px, measured, DIAMETER_SIGMA_PX / SPACING_PX), 0.0)
    return replace(profile, is_measured=measured, smoothed_px=smoothed, overlapped=overlapped)


def hidden_branches(profile: VesselProfile) -> list[SideBranch]:
    """Return a side branch for each overlap: the vessel that lies over it may hide a bifurcation."""
    branches = []
    for begin, end in stretches(profile.overlapped):
        behind = min(end + int(BEHIND_OVERLAP_PX / SPACING_PX), len(profile.overlapped) - 1)
        if np.isfinite(profile.diameter_px[behind]):
            width = HIDDEN_RATIO * float(profile.diameter_px[behind])
            branches.append(SideBranch(float(profile.arc_length_px[(begin + end) // 2]), width))
    return branches
