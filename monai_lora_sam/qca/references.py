"""The reference lines of all vessels of a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_lora_sam.qca.overlaps import hidden_branches
from monai_lora_sam.qca.profile import VesselProfile
from monai_lora_sam.qca.reference import SideBranch, reference_line
from monai_lora_sam.qca.stenosis import Stenosis, find_stenoses

FLANK = (
    0.15  # of a stenosis' length is left out besides on either side: its flanks would draw the reference down
)
MOSTLY = 0.6  # of a vessel that is stenosed is not believed
ORIGIN_PX = 60.0  # around a bifurcation, where a side branch shows how wide it leaves


def with_references(profiles: list[VesselProfile], found: list[list[Stenosis]]) -> list[VesselProfile]:
    """Fit the reference line of each vessel, its stenoses left out, with a step where a side branch leaves.

    Args:
        profiles: all vessels of the picture, from proximal to distal.
        found: the stenoses of each, as far as they are known.
    """
    usable = []
    for profile, stenoses in zip(profiles, found, strict=True):
        free = profile.is_measured & ~profile.occluded
        for stenosis in stenoses:
            margin = int(FLANK * (stenosis.end - stenosis.begin))
            free[max(stenosis.begin - margin, 0) : stenosis.end + margin + 1] = False
        # A vessel that is all lesion has nothing else to refer to.
        usable.append(free if free.sum() >= 8 else profile.is_measured & ~profile.occluded)
    result = []
    for place, profile in enumerate(profiles):
        sides = hidden_branches(profile)
        for other, side in enumerate(profiles):
            if other == place:
                continue
            for node in (side.start, side.end):
                if node is None or node.kind != "bifurcation":
                    continue
                at = np.array(node.position_rc)
                distance = np.linalg.norm(profile.points_rc - at, axis=1)
                nearest = int(distance.argmin())
                # Junctions of three branches have two nodes.
                if distance[nearest] > 2 * node.radius_px + 2:
                    continue
                near = usable[other] & (np.linalg.norm(side.points_rc - at, axis=1) < ORIGIN_PX)
                if near.sum() >= 4:
                    width = float(np.quantile(side.diameter_px[near], 0.75))
                    sides.append(SideBranch(float(profile.arc_length_px[nearest]), width))
        line = reference_line(
            profile.arc_length_px, profile.diameter_px, usable[place], sides, profile.direction_known
        )
        result.append(replace(profile, reference_px=line))
    return result


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
