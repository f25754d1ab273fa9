"""Vessels that were joined at a bifurcation although their calibres do not fit."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.runs import runs
from monai_lora_sam.coronary.vessel_tree import Node

# Two equal daughters of Murray's law have 0.79 of their parent's diameter.
STEP = 0.62
NEAR_PX = 40.0  # stretch beside the bifurcation that the other side is compared with
LEAST_POINTS = 12
SIDE = -1  # id of a node where a vessel was parted


def split_at_steps(profile: VesselProfile) -> list[VesselProfile]:
    """Part a vessel at a bifurcation behind which all the rest is far narrower.

    A stenosis recovers, a side branch that was taken for the continuation does not.
    """
    for begin, end in runs(profile.beside):
        before, after = _measured(profile, 0, begin), _measured(profile, end, len(profile.beside))
        if min(len(before), len(after)) < LEAST_POINTS:
            continue
        near = int(NEAR_PX / SPACING_PX)
        narrows = np.quantile(after, 0.9) < STEP * np.quantile(before[-near:], 0.75)
        widens = np.quantile(before, 0.9) < STEP * np.quantile(after[:near], 0.75)
        if narrows or widens:
            middle = (begin + end) // 2
            row, column = profile.points_rc[middle]
            place, radius = (float(row), float(column)), (end - begin) * SPACING_PX / 2
            leaves, ends = Node(SIDE, "bifurcation", place, radius), Node(SIDE, "end", place, radius)
            first = profile.part(0, middle, profile.start, ends if narrows else leaves)
            second = profile.part(middle, len(profile.beside), leaves if narrows else ends, profile.end)
            return [*split_at_steps(first), *split_at_steps(second)]
    return [profile]


def _measured(profile: VesselProfile, begin: int, end: int) -> np.ndarray:
    part = slice(begin, end)
    return profile.diameter_px[part][profile.is_measured[part]]
