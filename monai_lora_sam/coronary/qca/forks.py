"""Lines that run up one vessel and down another, which the labels tell apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from monai_lora_sam.coronary.qca.courses import RANK, STRANGE, label_cost
from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.steps import SIDE
from monai_lora_sam.coronary.vessel_tree import Node

SHORTEST_PX = 5.0  # a shorter stretch of a label is the map's noise


def split_at_forks(profile: VesselProfile) -> list[VesselProfile]:
    """Part a line whose labels first come nearer to the ostium and then go away from it again.

    As from the circumflex into the anterior descending artery where the left main is short or foreshortened:
    its two halves taper in opposite directions, and no reference line fits both. The stretch nearest to the
    ostium stays with the side that its label goes on in. Two side branches of one vessel, joined where they leave
    it, are parted as well.

    Args:
        profile: the vessel, either way round, with its `segment_ids`.
    """
    runs = _runs(profile.segment_ids)
    for place, ((before, _, before_end), (after, after_begin, _)) in enumerate(pairwise(runs), start=1):
        siblings = RANK[before] == RANK[after] and label_cost(before, after) == STRANGE
        # A vessel that crosses has its label for a while.
        if siblings and {one[0] for one in runs[:place]}.isdisjoint(one[0] for one in runs[place:]):
            cut = (before_end + after_begin) // 2
            first, second = _parted(profile, cut, kept_first=None)
            return [*split_at_forks(first), *split_at_forks(second)]
    if len(runs) < 3:
        return [profile]
    ranks = [RANK[number] for number, _, _ in runs]
    lowest = int(np.argmin(ranks))
    if not (0 < lowest < len(runs) - 1) or ranks[lowest - 1] == ranks[lowest]:
        return [profile]
    (before, _, before_end), (number, begin, end), (after, after_begin, _) = runs[lowest - 1 : lowest + 2]
    stays_with_before = label_cost(number, before) < label_cost(number, after)
    cut = (end + after_begin) // 2 if stays_with_before else (before_end + begin) // 2
    return _parted(profile, cut, kept_first=stays_with_before)


def _parted(profile: VesselProfile, cut: int, kept_first: bool | None) -> list[VesselProfile]:
    """Part a vessel at a point where the second part leaves the first, or the reverse; None: both leave another."""
    row, column = profile.points_rc[cut]
    place, radius = (float(row), float(column)), float(np.nan_to_num(profile.diameter_px[cut])) / 2
    leaves, ends = Node(SIDE, "bifurcation", place, radius), Node(SIDE, "end", place, radius)
    return [
        profile.part(0, cut, profile.start, ends if kept_first else leaves),
        profile.part(cut, len(profile.points_rc), ends if kept_first is False else leaves, profile.end),
    ]


def _runs(ids: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (id, begin, end) of each stretch of a label, short ones and unknown places left out."""
    edges = np.flatnonzero(np.diff(ids.astype(int))) + 1
    borders = np.r_[0, edges, len(ids)].tolist()
    runs: list[tuple[int, int, int]] = []
    for begin, end in pairwise(borders):
        number = int(ids[begin])
        if number not in RANK or (end - begin) * SPACING_PX < SHORTEST_PX:
            continue
        if runs and runs[-1][0] == number:
            runs[-1] = (number, runs[-1][1], end)
        else:
            runs.append((number, begin, end))
    return runs
