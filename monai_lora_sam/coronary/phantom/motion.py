"""The beating heart and the passing bolus: where the vessels are at a time, and how filled they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from monai_lora_sam.coronary.phantom.heart import GROOVE_LATITUDE, Heart
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree

#: Parts of the cardiac cycle, from the R wave: contraction lasts until the first, relaxation until the second.
END_SYSTOLE, END_RELAXATION = 0.35, 0.55

#: Above the valve plane, towards the aorta, the heart's motion dies out over this length.
ROOT_FADE_MM = 18.0


@dataclass(frozen=True)
class HeartMotion:
    """A heart that shortens, narrows and twists once in every cycle.

    Attributes:
        period_s: length of a cycle.
        start_phase: phase (0 to 1) at time 0; 0 is the R wave.
        shortening_mm: how far the valve plane moves towards the apex at end systole; the apex stays.
        narrowing: part of the distance from the long axis that is lost at end systole.
        twist_deg: turn of the apex against the valve plane at end systole.
    """

    period_s: float
    start_phase: float = 0.0
    shortening_mm: float = 12.0
    narrowing: float = 0.12
    twist_deg: float = 8.0

    def phase(self, time_s: float) -> float:
        """Return the phase of the cycle, 0 to 1."""
        return (self.start_phase + time_s / self.period_s) % 1.0

    def contraction(self, time_s: float) -> float:
        """Return how contracted the heart is: 0 from the end of relaxation to the R wave, 1 at end systole."""
        phase = self.phase(time_s)
        if phase < END_SYSTOLE:
            return float(np.sin(0.5 * np.pi * phase / END_SYSTOLE) ** 2)
        if phase < END_RELAXATION:
            share = (phase - END_SYSTOLE) / (END_RELAXATION - END_SYSTOLE)
            return float(np.cos(0.5 * np.pi * share) ** 2)
        return 0.0

    def move(self, points_mm: np.ndarray, heart: Heart, time_s: float) -> np.ndarray:
        """Return points (N, 3) of the relaxed heart, in its own coordinates, where they are at a time."""
        amount = self.contraction(time_s)
        base = heart.length_mm * np.sin(np.deg2rad(GROOVE_LATITUDE))
        height = points_mm @ heart.apex_axis
        from_base = np.clip((height - base) / (heart.length_mm - base), 0.0, 1.0)
        moved = np.where(height < base, np.exp((height - base) / ROOT_FADE_MM), 1.0) * amount
        along = np.outer(height, heart.apex_axis)
        across = (points_mm - along) * (1 - self.narrowing * moved)[:, None]
        turn = np.deg2rad(self.twist_deg) * amount * from_base
        across = Rotation.from_rotvec(turn[:, None] * heart.apex_axis).apply(across)
        return along + across + np.outer(self.shortening_mm * moved * (1 - from_base), heart.apex_axis)


@dataclass(frozen=True)
class Bolus:
    """Contrast agent that runs from the ostium into the tree and is washed out after the injection.

    Attributes:
        start_s, stop_s: when the injection begins and ends.
        velocity_mm_s: of the front along the vessels.
        rise_s: how long a place takes to fill once the front has come.
        washout_s: time in which the concentration falls to 1/e afterwards.
    """

    start_s: float
    stop_s: float
    velocity_mm_s: float
    rise_s: float
    washout_s: float

    def concentration(self, distance_mm: np.ndarray | float, time_s: float) -> np.ndarray:
        """Return the concentration (0 to 1) at distances from the ostium along the vessels."""
        since = time_s - self.start_s - np.asarray(distance_mm, float) / self.velocity_mm_s
        share = np.clip(since / self.rise_s, 0.0, 1.0)
        washed = np.maximum(since - (self.stop_s - self.start_s), 0.0) / self.washout_s
        return share**2 * (3 - 2 * share) * np.exp(-washed)


def ostium_distances(tree: CoronaryTree) -> list[np.ndarray]:
    """Return each branch's (N,) distance from the ostium along the vessels, in mm."""
    distances: list[np.ndarray] = []
    for branch in tree.branches:
        before = 0.0 if branch.parent is None else float(distances[branch.parent[0]][branch.parent[1]])
        distances.append(before + branch.arc_mm)
    return distances


def filling_fraction(branches: list[Branch], factors: list[np.ndarray]) -> float:
    """Return the mean concentration factor over the named segments, by length."""
    total = filled = 0.0
    for branch, factor in zip(branches, factors, strict=True):
        step = np.gradient(branch.arc_mm)
        for segment, start, stop in branch.segments:
            if segment is not None:
                total += step[start:stop].sum()
                filled += (step[start:stop] * factor[start:stop]).sum()
    return filled / total
