"""Grow a random coronary tree from its plan: centrelines, diameters, twigs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.diameters import (
    BRANCH_DIAMETER_MM,
    PUBLISHED_DIAMETER_MM,
    UNNAMED_BRANCH_DIAMETER_MM,
    draw_diameter_mm,
    murray_parent_mm,
    vessel_diameters,
)
from monai_lora_sam.coronary.phantom.heart import (
    SAMPLE_STEP_MM,
    Heart,
    draw_heart,
    smooth_path,
    unit,
)
from monai_lora_sam.coronary.phantom.plan import Offshoot, Trunk, plan_left
from monai_lora_sam.coronary.phantom.plan_right import plan_right
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree
from monai_lora_sam.coronary.polyline import Polyline

S = SyntaxSegment

#: A main vessel's segment has at least so many samples (0.4 mm each).
_SHORTEST_SEGMENT = 10
#: The last bifurcation lies so many samples before the end of its vessel.
_SAMPLES_BEHIND_LAST_FORK = 8
#: The vessels that make the fork of the left main together with the LAD.
_LEFT_MAIN_FORK = ("lcx", "ramus")


@dataclass(frozen=True)
class _Leaving:
    """A vessel that leaves another: its key in the plan, the sample where it does, its drawn diameter."""

    key: str
    sample: int
    diameter_mm: float


def grow_tree(rng: np.random.Generator, side: str, dominance: Dominance) -> CoronaryTree:
    """Grow the left or right coronary tree.

    Args:
        rng: source of all randomness.
        side: "left" or "right".
        dominance: which artery supplies the posterior wall.

    Returns:
        The tree without lesions, its heart centred on the origin of the patient's coordinates.
    """
    heart = draw_heart(rng)
    plan = plan_left if side == "left" else plan_right
    trunks = plan(rng, heart, dominance)
    growth = _Growth(rng, heart, dominance, trunks, tortuosity=rng.gamma(2.0, 0.45))
    for trunk in trunks:
        growth.add_trunk(trunk)
    growth.add_twigs()
    root = growth.branches[0].points_mm
    return CoronaryTree(growth.branches, side, dominance, heart, root[0].copy(), unit(root[8] - root[0]))


class _Growth:
    """Grow the branches of one tree, a parent before all that leave it.

    Attributes:
        branches: all that have grown so far.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        heart: Heart,
        dominance: Dominance,
        trunks: list[Trunk],
        tortuosity: float,
    ) -> None:
        self.branches: list[Branch] = []
        self._rng, self._heart, self._dominance = rng, heart, dominance
        self._trunks, self._tortuosity = trunks, tortuosity
        self._index_of: dict[str, int] = {}
        self._origin_diameter_mm: dict[str, float] = {}  # of the vessels that leave those that have grown

    def add_trunk(self, trunk: Trunk) -> None:
        """Add a main vessel and its side branches."""
        control, parent = self._control(trunk)
        path = smooth_path(
            self._rng, control, jitter_mm=1.5, tortuosity_mm=0.7 * self._tortuosity, wavelength_mm=38.0
        )
        leaving = self._leaving(trunk, len(path))
        diameter = self._diameters(trunk, path, leaving)
        index = len(self.branches)
        self._index_of[trunk.key] = index
        self.branches.append(Branch(path, diameter.copy(), diameter, _segments(trunk, len(path)), parent))
        sample_of = {vessel.key: vessel.sample for vessel in leaving}
        for offshoot in trunk.offshoots:
            self._add_offshoot(offshoot, (index, sample_of[offshoot.key]))

    def add_twigs(self) -> None:
        """Add septals and small side branches without names to the branches that are there."""
        rng = self._rng
        density = rng.uniform(0.4, 2.2)
        stems = list(enumerate(self.branches))
        for index, stem in stems:
            length = stem.arc_mm[-1]
            for _ in range(rng.poisson(density * length / 13.0)):
                sample = int(rng.integers(int(0.12 * len(stem.points_mm)), len(stem.points_mm) - 4))
                width = min(0.4 + rng.exponential(0.22), 1.1, 0.7 * float(stem.reference_diameter_mm[sample]))
                septal = stem.segments[0][0] is S.LEFT_MAIN and rng.random() < 0.5
                length_mm = rng.uniform(9, 20) * (0.6 + width)
                path = _wander(rng, self._heart, stem.points_mm, sample, septal, self._tortuosity, length_mm)
                diameter = np.linspace(width, 0.45 * width, len(path))
                segments: list[tuple[SyntaxSegment | None, int, int]] = [(None, 0, len(path))]
                self.branches.append(Branch(path, diameter.copy(), diameter, segments, (index, sample)))

    def _control(self, trunk: Trunk) -> tuple[np.ndarray, tuple[int, int] | None]:
        """Return a trunk's control points, the first on its parent, and the parent's index and sample."""
        if trunk.parent is None:
            return trunk.control_mm, None
        index = self._index_of[trunk.parent]
        stem = self.branches[index].points_mm
        sample = round(trunk.leaves_at * (len(stem) - 1))
        return np.concatenate([[stem[sample]], trunk.control_mm[1:]]), (index, sample)

    def _leaving(self, trunk: Trunk, count: int) -> list[_Leaving]:
        """Return the vessels that leave a trunk of some number of samples, in order, with drawn diameters.

        The circumflex leaves the left main's trunk like any other branch, so it counts in Murray's law there.
        """
        planned: list[tuple[str, SyntaxSegment | None, float]]
        planned = [(vessel.key, vessel.segment, vessel.leaves_at) for vessel in trunk.offshoots]
        planned += [
            (vessel.key, vessel.segments[0][0], vessel.leaves_at)
            for vessel in self._trunks
            if vessel.parent == trunk.key
        ]
        return [
            _Leaving(
                key,
                min(round(leaves_at * (count - 1)), count - _SAMPLES_BEHIND_LAST_FORK),
                self._draw_diameter_mm(segment),
            )
            for key, segment, leaves_at in sorted(planned, key=lambda item: item[2])
        ]

    def _draw_diameter_mm(self, segment: SyntaxSegment | None) -> float:
        if segment is None:
            return draw_diameter_mm(self._rng, *UNNAMED_BRANCH_DIAMETER_MM)
        published = PUBLISHED_DIAMETER_MM.get((segment, self._dominance))
        return draw_diameter_mm(self._rng, *(published or BRANCH_DIAMETER_MM[segment]))

    def _diameters(self, trunk: Trunk, path: np.ndarray, leaving: list[_Leaving]) -> np.ndarray:
        """Return the diameter (N,) along a trunk, and note those of the vessels that leave it."""
        first = 0
        if trunk.key in self._origin_diameter_mm:
            start = self._origin_diameter_mm[trunk.key]
        elif trunk.key == "lad":  # the left main is as wide at its fork as Murray's law asks
            fork = [vessel.diameter_mm for vessel in leaving if vessel.key in _LEFT_MAIN_FORK]
            start = murray_parent_mm([self._draw_diameter_mm(S.LAD_PROXIMAL), *fork])
            first = leaving[0].sample
        else:
            start = self._draw_diameter_mm(trunk.segments[0][0])
        end = min(draw_diameter_mm(self._rng, *trunk.end_diameter_mm), 0.9 * start)
        diameter, given = vessel_diameters(
            Polyline(path).arc_length,
            start,
            end,
            [vessel.sample for vessel in leaving],
            [vessel.diameter_mm for vessel in leaving],
            first,
        )
        self._origin_diameter_mm.update(zip([vessel.key for vessel in leaving], given, strict=True))
        return diameter

    def _add_offshoot(self, offshoot: Offshoot, parent: tuple[int, int]) -> None:
        index, sample = parent
        origin = self.branches[index].points_mm[sample]
        course = [self._heart.surface(latitude, longitude) for latitude, longitude in offshoot.course]
        path = smooth_path(
            self._rng,
            np.concatenate([[origin], course]),
            jitter_mm=2.0,
            tortuosity_mm=self._tortuosity,
            wavelength_mm=24.0,
        )
        start = self._origin_diameter_mm[offshoot.key]
        end = start * self._rng.uniform(0.45, 0.75)
        diameter, _ = vessel_diameters(Polyline(path).arc_length, start, end, [], [])
        segments = [(offshoot.segment, 0, len(path))]
        self.branches.append(Branch(path, diameter.copy(), diameter, segments, parent))


def _segments(trunk: Trunk, count: int) -> list[tuple[SyntaxSegment | None, int, int]]:
    """Return the runs of samples that a trunk's segments take; one that is too short to name is left to the last."""
    segments: list[tuple[SyntaxSegment | None, int, int]] = []
    begin = 0
    for segment, until in trunk.segments:
        stop = count if until >= 1.0 else round(until * (count - 1))
        if stop - begin >= _SHORTEST_SEGMENT:
            segments.append((segment, begin, stop))
        elif stop > begin:
            segments[-1] = (*segments[-1][:2], stop)
        begin = max(begin, stop)
    return segments


def _wander(
    rng: np.random.Generator,
    heart: Heart,
    stem: np.ndarray,
    sample: int,
    septal: bool,
    tortuosity: float,
    length_mm: float,
) -> np.ndarray:
    """Return the path (N, 3) of a twig: along the heart's surface, or for a septal into the septum."""
    origin = stem[sample]
    forward = unit(stem[sample + 3] - stem[sample - 3])
    outward = unit(origin - heart.apex_axis * (origin @ heart.apex_axis))
    sideways = np.cross(forward, outward) * rng.choice([-1.0, 1.0])
    heading = unit(0.5 * forward - outward) if septal else unit(0.6 * forward + sideways)
    count = max(int(length_mm / SAMPLE_STEP_MM), 8)
    turns = np.cumsum(rng.normal(0, 0.07 + 0.05 * tortuosity, (count, 3)), axis=0)
    turns -= 0.1 * np.cumsum(turns, axis=0) * (1.0 / count)
    steps = unit(
        heading + turns + (0.0 if septal else 0.6 * np.linspace(0, 1, count)[:, None] * heart.apex_axis)
    )
    return origin + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)]) * SAMPLE_STEP_MM
