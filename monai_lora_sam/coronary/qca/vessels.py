"""Vessels from measured lines: part a line that joins two vessels, let each vessel run from its proximal end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from monai_lora_sam.coronary.qca.courses import RANK, STRANGE, label_cost
from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.samples import stretches
from monai_lora_sam.coronary.vessel_tree import Node

# Diameter behind a bifurcation over that before it; two equal daughters of Murray's law have 0.79.
CALIBRE_STEP = 0.62
NEAR_PX = 40.0  # length beside the bifurcation that the other side is compared with
LEAST_POINTS = 12  # measured on either side, for a comparison
SHORTEST_PX = 5.0  # length; a shorter stretch of a label is the map's noise
PARTED = -1  # id of a node where a line was parted


def split_at_steps(profile: VesselProfile) -> list[VesselProfile]:
    """Part a line at a bifurcation behind which all the rest is far narrower.

    A stenosis recovers, a side branch that was taken for the continuation does not.
    """
    count, near = len(profile.beside), int(NEAR_PX / SPACING_PX)
    for begin, end in stretches(profile.beside):
        before, after = _measured_diameters(profile, 0, begin), _measured_diameters(profile, end, count)
        if min(len(before), len(after)) < LEAST_POINTS:
            continue
        narrows = np.quantile(after, 0.9) < CALIBRE_STEP * np.quantile(before[-near:], 0.75)
        widens = np.quantile(before, 0.9) < CALIBRE_STEP * np.quantile(after[:near], 0.75)
        if narrows or widens:
            radius = (end - begin) * SPACING_PX / 2
            first, second = _parted(profile, (begin + end) // 2, radius, bool(narrows), not narrows)
            return [*split_at_steps(first), *split_at_steps(second)]
    return [profile]


def split_at_forks(profile: VesselProfile) -> list[VesselProfile]:
    """Part a line whose labels first come nearer to the ostium and then go away from it again.

    As from the circumflex into the anterior descending artery where the left main is short or foreshortened:
    its two halves taper in opposite directions, and no reference line fits both. The stretch nearest to the
    ostium stays with the side that its label goes on in. Two side branches of one vessel, joined where they leave
    it, are parted as well.

    Args:
        profile: the vessel, either way round, with its `segment_ids`.
    """
    labels = _label_stretches(profile.segment_ids)
    cut = _between_siblings(labels)
    if cut is not None:
        first, second = _parted(profile, cut, _radius_at(profile, cut), False, False)
        return [*split_at_forks(first), *split_at_forks(second)]
    if len(labels) < 3:
        return [profile]
    ranks = [RANK[number] for number, _, _ in labels]
    lowest = int(np.argmin(ranks))
    if not (0 < lowest < len(labels) - 1) or ranks[lowest - 1] == ranks[lowest]:
        return [profile]
    (before, _, before_end), (number, begin, end), (after, after_begin, _) = labels[lowest - 1 : lowest + 2]
    with_before = label_cost(number, before) < label_cost(number, after)
    cut = (end + after_begin) // 2 if with_before else (before_end + begin) // 2
    return _parted(profile, cut, _radius_at(profile, cut), with_before, not with_before)


def oriented(profile: VesselProfile, profiles: list[VesselProfile]) -> VesselProfile:
    """Let a vessel run from its proximal to its distal end.

    By the rank of its segments; else a side branch from the bifurcation that it leaves; else from the wider
    end, which is a guess.

    Args:
        profile: the vessel, either way round.
        profiles: all vessels of the picture.
    """
    ranks = np.array([RANK.get(int(_id), np.nan) for _id in profile.segment_ids])
    known = np.isfinite(ranks)
    if known.any() and len(set(ranks[known])) > 1:
        profile = replace(profile, direction_known=True)
        return profile.reversed() if _slope(ranks, known) < 0 else profile
    leaves_at_start = _leaves(profile, profile.start, profile.segment_ids, profiles)
    leaves_at_end = _leaves(profile, profile.end, profile.segment_ids[::-1], profiles)
    if leaves_at_start != leaves_at_end:
        profile = replace(profile, direction_known=True)
        return profile.reversed() if leaves_at_end else profile
    if profile.is_measured.sum() > 4 and _slope(profile.diameter_px, profile.is_measured) > 0:
        return profile.reversed()
    return profile


def _measured_diameters(profile: VesselProfile, begin: int, end: int) -> np.ndarray:
    part = slice(begin, end)
    return profile.diameter_px[part][profile.is_measured[part]]


def _parted(
    profile: VesselProfile, cut: int, radius_px: float, first_goes_on: bool, second_goes_on: bool
) -> list[VesselProfile]:
    """Part a line at a point; the part that does not go on there leaves another vessel."""
    row, column = profile.points_rc[cut]
    position = float(row), float(column)
    leaves, ends = (Node(PARTED, kind, position, radius_px) for kind in ("bifurcation", "end"))
    return [
        profile.part(0, cut, profile.start, ends if first_goes_on else leaves),
        profile.part(cut, len(profile.points_rc), ends if second_goes_on else leaves, profile.end),
    ]


def _radius_at(profile: VesselProfile, index: int) -> float:
    return float(np.nan_to_num(profile.diameter_px[index])) / 2


def _label_stretches(ids: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (id, begin, end) of each stretch of a label, short ones and unlabelled points left out."""
    edges = np.flatnonzero(np.diff(ids.astype(int))) + 1
    borders = np.r_[0, edges, len(ids)].tolist()
    found: list[tuple[int, int, int]] = []
    for begin, end in pairwise(borders):
        number = int(ids[begin])
        if number not in RANK or (end - begin) * SPACING_PX < SHORTEST_PX:
            continue
        if found and found[-1][0] == number:
            found[-1] = (number, found[-1][1], end)
        else:
            found.append((number, begin, end))
    return found


def _between_siblings(labels: list[tuple[int, int, int]]) -> int | None:
    """Return the point between two stretches that are side branches of one vessel; None without such."""
    for count, ((before, _, before_end), (after, after_begin, _)) in enumerate(pairwise(labels), start=1):
        siblings = RANK[before] == RANK[after] and label_cost(before, after) == STRANGE
        # A vessel that crosses has its label for a while.
        if siblings and {one[0] for one in labels[:count]}.isdisjoint(one[0] for one in labels[count:]):
            return (before_end + after_begin) // 2
    return None


def _slope(values: np.ndarray, known: np.ndarray) -> float:
    """Return the slope of a straight line through the known samples, per sample."""
    return float(np.polyfit(np.flatnonzero(known), values[known], 1)[0])


def _leaves(
    profile: VesselProfile, node: Node | None, own_ids: np.ndarray, profiles: list[VesselProfile]
) -> bool:
    """Say whether a vessel leaves another one at one of its end nodes.

    The other one goes on past the node, or its segment there lies nearer to the ostium.

    Args:
        profile: the vessel.
        node: at the end in question.
        own_ids: ARCADE category ids of the vessel's points, from that end on.
        profiles: all vessels of the picture.
    """
    if node is None or node.kind != "bifurcation":
        return False
    if node.id == PARTED:
        return True
    reach = node.radius_px + 1
    for other in profiles:
        if other is profile:
            continue
        distance = np.linalg.norm(other.points_rc - np.array(node.position_rc), axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] > reach:
            continue
        goes_on = 2 * reach < other.arc_length_px[nearest] < other.length_px - 2 * reach
        if goes_on or _first_rank(other.segment_ids[np.argsort(distance)]) < _first_rank(own_ids):
            return True
    return False


def _first_rank(ids: np.ndarray) -> float:
    """Return the rank of the first known label, NaN where there is none."""
    known = ids[np.isin(ids, list(RANK))]
    return float(RANK[int(known[0])]) if len(known) else np.nan
