"""Which end of a vessel is the proximal one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_lora_sam.coronary.qca.courses import RANK
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.steps import SIDE


def oriented(profile: VesselProfile, profiles: list[VesselProfile]) -> VesselProfile:
    """Let a vessel run from its proximal to its distal end.

    By the rank of its segments; else a side branch from the bifurcation that it leaves; else from the wider
    end, which is a guess.

    Args:
        profile: the vessel, either way round.
        profiles: all vessels of the picture.
    """
    count = len(profile.points_rc)
    leaves = _leaves(profile, profiles)
    ranks = np.array([RANK.get(int(_id), np.nan) for _id in profile.segment_ids])
    known = np.isfinite(ranks)
    if known.any() and len(set(ranks[known])) > 1:
        slope = np.polyfit(np.flatnonzero(known), ranks[known], 1)[0]
        profile = replace(profile, direction_known=True)
        return profile.reversed() if slope < 0 else profile
    if leaves[0] != leaves[1]:
        profile = replace(profile, direction_known=True)
        return profile.reversed() if leaves[1] else profile
    usable = profile.is_measured
    if usable.sum() > 4:
        slope = np.polyfit(np.arange(count)[usable], profile.diameter_px[usable], 1)[0]
        return profile.reversed() if slope > 0 else profile
    return profile


def _leaves(profile: VesselProfile, profiles: list[VesselProfile]) -> tuple[bool, bool]:
    """Say of both ends of a vessel whether it leaves another one there.

    One that goes on past the place, or one whose segment lies nearer to the ostium.
    """
    found = []
    for node, own in ((profile.start, profile.segment_ids), (profile.end, profile.segment_ids[::-1])):
        leaves = node is not None and node.kind == "bifurcation" and node.id == SIDE
        if node is not None and node.kind == "bifurcation" and not leaves:
            reach = node.radius_px + 1
            for other in profiles:
                if other is profile:
                    continue
                distance = np.linalg.norm(other.points_rc - np.array(node.position_rc), axis=1)
                nearest = int(distance.argmin())
                if distance[nearest] > reach:
                    continue
                arc = other.arc_length_px[nearest]
                goes_on = 2 * reach < arc < other.length_px - 2 * reach
                nearer = _rank(other.segment_ids[np.argsort(distance)]) < _rank(own)
                leaves |= bool(goes_on or nearer)
        found.append(leaves)
    return found[0], found[1]


def _rank(ids: np.ndarray) -> float:
    """Return the rank of the first known label, NaN where there is none."""
    known = ids[np.isin(ids, list(RANK))]
    return float(RANK[int(known[0])]) if len(known) else np.nan
