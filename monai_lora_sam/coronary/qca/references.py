"""The reference lines of all vessels of a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_lora_sam.coronary.qca.overlaps import hidden_branches
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.reference import SideBranch, reference_line
from monai_lora_sam.coronary.qca.stenosis import Stenosis, find_stenoses

FLANK = (
    0.15  # of a stenosis' length is left out besides on either side: its flanks would draw the reference down
)
MOSTLY = 0.6  # of a vessel that is stenosed is not believed
ORIGIN_PX = 60.0  # around a bifurcation, where a side branch shows how wide it leaves


class ReferenceLines:
    """Fit the reference line of each vessel, its stenoses left out, with a step where a side branch leaves.

    Where vessels meet is looked up once, and a line is fitted again only where what it rests on has changed.

    Args:
        profiles: all vessels of the picture, from proximal to distal.

    Example:
        >>> lines = ReferenceLines(profiles)
        >>> profiles = lines.fit(profiles, [find_stenoses(profile) for profile in lines.fit(profiles)])
    """

    def __init__(self, profiles: list[VesselProfile]) -> None:
        self._meetings = [_meetings(place, profiles) for place in range(len(profiles))]
        self._fitted: dict[int, tuple[tuple[bytes, tuple[SideBranch, ...]], np.ndarray]] = {}

    def fit(
        self, profiles: list[VesselProfile], found: list[list[Stenosis]] | None = None
    ) -> list[VesselProfile]:
        """Return the vessels with their reference lines.

        Args:
            profiles: the same vessels in the same order; what is measured of them may have changed.
            found: the stenoses of each, as far as they are known.
        """
        found = found or [[] for _ in profiles]
        usable = [_usable(profile, stenoses) for profile, stenoses in zip(profiles, found, strict=True)]
        result = []
        for place, profile in enumerate(profiles):
            sides = hidden_branches(profile)
            for other, arc_px, origin in self._meetings[place]:
                near = origin[usable[other][origin]]
                if len(near) >= 4:
                    width = float(np.quantile(profiles[other].diameter_px[near], 0.75))
                    sides.append(SideBranch(arc_px, width))
            rests_on = usable[place].tobytes(), tuple(sides)
            if place not in self._fitted or self._fitted[place][0] != rests_on:
                line = reference_line(
                    profile.arc_length_px, profile.diameter_px, usable[place], sides, profile.direction_known
                )
                self._fitted[place] = rests_on, line
            result.append(replace(profile, reference_px=self._fitted[place][1]))
        return result


def _meetings(place: int, profiles: list[VesselProfile]) -> list[tuple[int, float, np.ndarray]]:
    """Return which others begin or end at a vessel: their numbers, where along it, their points near there."""
    points = profiles[place].points_rc
    low, high = points.min(axis=0), points.max(axis=0)
    meetings = []
    for other, side in enumerate(profiles):
        for node in (side.start, side.end):
            if other == place or node is None or node.kind != "bifurcation":
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
                meetings.append((other, float(profiles[place].arc_length_px[nearest]), origin))
    return meetings


def _usable(profile: VesselProfile, stenoses: list[Stenosis]) -> np.ndarray:
    healthy = profile.is_measured & ~profile.occluded
    free = healthy.copy()
    for stenosis in stenoses:
        margin = int(FLANK * (stenosis.end - stenosis.begin))
        free[max(stenosis.begin - margin, 0) : stenosis.end + margin + 1] = False
    # A vessel that is all lesion has nothing else to refer to.
    return free if free.sum() >= 8 else healthy


def believable(profile: VesselProfile, stenoses: list[Stenosis]) -> tuple[VesselProfile, list[Stenosis]]:
    """Measure a vessel again that would be stenosed nearly everywhere: direction or side branches were wrong."""
    inside = np.zeros(len(profile.points_rc), dtype=bool)
    for stenosis in stenoses:
        inside[stenosis.begin : stenosis.end + 1] = True
    usable = profile.is_measured & ~profile.occluded
    if not usable.any() or (inside & usable).sum() < MOSTLY * usable.sum():
        return profile, stenoses
    line = reference_line(profile.arc_length_px, profile.diameter_px, usable, direction_known=False)
    profile = replace(profile, reference_px=line)
    return profile, find_stenoses(profile)
