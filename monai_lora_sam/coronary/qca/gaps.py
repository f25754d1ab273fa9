"""Gaps in a vessel: free ends that face each other, as at a total occlusion."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import map_coordinates

from monai_lora_sam.coronary.qca.paths import Tip

LONGEST_DIAMETERS = 8.0  # a longer gap is not bridged
SHORT_DIAMETERS = 2.0  # up to here the ends may point past each other by more
SHORT_DEGREES, LONG_DEGREES = 40.0, 20.0
TRACED_DEGREES = 60.0  # where the probability leads across the gap, however low it is
TRACE = 0.1
WIDTH_RATIO = 2.5
FOREIGN = 0.25  # part of a gap's line that may lie on another vessel


def facing_ends(tips: Iterable[Tip], probability: np.ndarray) -> list[tuple[Tip, Tip]]:
    """Pair free ends of branches that continue each other over a gap, the best first; each end once.

    Both ends point at each other, the more exactly the longer the gap is, are similarly wide, and what lies
    between them is not vessel.

    Args:
        tips: the free ends, those at the picture's border left out.
        probability: (H, W), 0..1.
    """
    ends = sorted(tips, key=lambda tip: tip.key)
    found = []
    for place, one in enumerate(ends):
        for other in ends[place + 1 :]:
            if one.branch == other.branch:
                continue
            cost = _misfit(one, other, probability)
            if cost is not None:
                found.append((cost, one, other))
    taken: set[tuple[int, bool]] = set()
    pairs = []
    for _, one, other in sorted(found, key=lambda item: item[0]):
        if one.key not in taken and other.key not in taken:
            taken |= {one.key, other.key}
            pairs.append((one, other))
    return pairs


def _misfit(one: Tip, other: Tip, probability: np.ndarray) -> float | None:
    between = other.position - one.position
    distance = float(np.linalg.norm(between))
    diameter = one.widest_px + other.widest_px
    # A centreline stops about one radius short of a free end.
    gap = max(distance - one.end_radius_px - other.end_radius_px, 0.0)
    if distance < 1e-6 or gap > LONGEST_DIAMETERS * diameter:
        return None
    if max(one.widest_px, other.widest_px) > WIDTH_RATIO * min(one.widest_px, other.widest_px):
        return None
    line = one.position + np.linspace(0.0, 1.0, max(int(2 * distance), 2))[:, None] * between
    along = np.linspace(0.0, distance, len(line))
    inside = (along > one.end_radius_px + 1) & (along < distance - other.end_radius_px - 1)
    on_line = map_coordinates(probability, line[inside].T, order=1)
    # Islands in a short gap are what the grid has left of a lumen below a pixel.
    if gap > diameter / 2 and len(on_line) and (on_line >= 0.5).mean() > FOREIGN:
        return None
    direction = between / distance
    angles = [
        np.degrees(np.arccos(np.clip(tip.outward @ towards, -1.0, 1.0)))
        for tip, towards in ((one, direction), (other, -direction))
    ]
    traced = not len(on_line) or (gap < SHORT_DIAMETERS * diameter and float(np.min(on_line)) >= TRACE)
    allowed = (
        TRACED_DEGREES if traced else SHORT_DEGREES if gap < SHORT_DIAMETERS * diameter else LONG_DEGREES
    )
    if max(angles) > allowed:
        return None
    return gap / diameter + max(angles) / 20.0
