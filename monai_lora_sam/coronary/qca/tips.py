"""Tips: the ends of branches, their direction and width, and those that face each other over a gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.ndimage import map_coordinates

from monai_lora_sam.coronary.vessel_tree import Branch, Node, VesselTree

WIDEST_REACH_PX = 40.0  # length from a tip over which the vessel's widest radius is looked for
DIRECTION_REACH = 2.0  # radii over which a branch's direction is taken, beyond the bifurcation
LEAST_DIRECTION_PX = 6.0  # the same, at least
LEAST_RADIUS_PX = 0.5  # of a vessel: half a pixel of the mask
LONGEST_GAP_DIAMETERS = 8.0  # a longer gap is not bridged
SHORT_GAP_DIAMETERS = 2.0  # length of a gap, up to which its ends may point past each other by more
SHORT_GAP_DEGREES, LONG_GAP_DEGREES = 40.0, 20.0  # angle by which ends may point past each other
TRACED_DEGREES = 60.0  # the same where the probability leads across the gap, however low it is
DEGREES_PER_DIAMETER = 20.0  # past each other, as bad as a gap longer by one diameter
TRACE = 0.1  # probability that leads across a gap
WIDTH_RATIO = 2.5  # of the radii of two ends that face each other, at most
FOREIGN = 0.25  # part of a gap's line that may lie on another vessel


@dataclass(frozen=True)
class Tip:
    """Hold one end of a branch.

    Attributes:
        branch, at_start: number of the branch, and which of its ends.
        position, outward: (2,) its point, and the unit vector along which the branch would go on.
        radius_px: of the vessel near the end.
        end_radius_px: at the end itself.
        widest_px: radius of the vessel further on, before it narrowed to the end.
        label: ARCADE category id, 0 where unknown.
    """

    branch: int
    at_start: bool
    position: np.ndarray
    outward: np.ndarray
    radius_px: float
    end_radius_px: float
    widest_px: float
    label: int

    @property
    def key(self) -> tuple[int, bool]:
        return self.branch, self.at_start


def tips_of(tree: VesselTree, radius: np.ndarray, labels: Sequence[int]) -> dict[tuple[int, bool], Tip]:
    """Return both ends of every open branch by (branch, at_start).

    Args:
        tree: the tree.
        radius: (H, W), distance of each pixel of the mask to the background.
        labels: ARCADE category id of each branch, 0 where unknown.
    """
    return {
        (branch.id, at_start): _tip(branch, node, at_start, radius, int(labels[branch.id]))
        for branch in tree.branches
        for at_start, node in ((True, branch.start), (False, branch.end))
        if node is not None
    }


def _tip(branch: Branch, node: Node, at_start: bool, radius: np.ndarray, label: int) -> Tip:
    points = branch.centreline_rc if at_start else branch.centreline_rc[::-1]
    arc = np.linspace(0.0, branch.length_px, len(points))
    forks = node.kind == "bifurcation"
    # Before a blunt end, as inside a bifurcation, a skeleton runs into a corner.
    begin = min(node.radius_px, 0.4 * branch.length_px)
    widths = values_at(points, radius)
    widest = float(widths[(arc >= begin) & (arc <= begin + WIDEST_REACH_PX)].max(initial=LEAST_RADIUS_PX))
    # The last pixels of a vessel that narrows to its end point anywhere.
    reach = max(DIRECTION_REACH * (node.radius_px if forks else widest), LEAST_DIRECTION_PX)
    near = (arc >= begin) & (arc <= begin + reach)
    outward = points[near][0] - points[near][-1] if near.sum() > 1 else points[0] - points[-1]
    outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
    beyond = widths[(arc >= begin) & (arc <= begin + 3 * reach)]
    width = max(float(np.median(beyond)) if len(beyond) else node.radius_px, LEAST_RADIUS_PX)
    return Tip(
        branch=branch.id,
        at_start=at_start,
        position=points[0] if forks else points[near][0] + begin * outward,
        outward=outward,
        radius_px=width,
        end_radius_px=node.radius_px,
        widest_px=max(widest, width),
        label=label,
    )


def values_at(points: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Read a picture (H, W) at the pixels nearest to points (N, 2), row and column."""
    rows, columns = np.rint(points).astype(int).T
    return picture[rows.clip(0, picture.shape[0] - 1), columns.clip(0, picture.shape[1] - 1)]


def facing_ends(tips: Iterable[Tip], probability: np.ndarray) -> list[tuple[Tip, Tip]]:
    """Pair free ends of branches that continue each other over a gap, the best first; each end once.

    Both ends point at each other, the more exactly the longer the gap is, and are similarly wide; no other vessel
    lies between them.

    Args:
        tips: the free ends, those at the picture's border left out.
        probability: (H, W), 0..1.
    """
    found = []
    for one, other in combinations(sorted(tips, key=lambda tip: tip.key), 2):
        cost = _misfit(one, other, probability) if one.branch != other.branch else None
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
    """Return how badly two ends face each other, in diameters of gap; None where they do not."""
    between = other.position - one.position
    distance = float(np.linalg.norm(between))
    diameter = one.widest_px + other.widest_px
    # A centreline stops about one radius short of a free end.
    gap = max(distance - one.end_radius_px - other.end_radius_px, 0.0)
    if distance < 1e-6 or gap > LONGEST_GAP_DIAMETERS * diameter:
        return None
    if max(one.widest_px, other.widest_px) > WIDTH_RATIO * min(one.widest_px, other.widest_px):
        return None
    on_line = _in_gap(one, other, probability)
    # Islands in a short gap are the rest that the grid has left of a lumen below a pixel.
    if gap > diameter / 2 and len(on_line) and (on_line >= 0.5).mean() > FOREIGN:
        return None
    is_short = gap < SHORT_GAP_DIAMETERS * diameter
    traced = not len(on_line) or (is_short and float(np.min(on_line)) >= TRACE)
    past = max(_degrees_past(one, between / distance), _degrees_past(other, -between / distance))
    if past > (TRACED_DEGREES if traced else SHORT_GAP_DEGREES if is_short else LONG_GAP_DEGREES):
        return None
    return gap / diameter + past / DEGREES_PER_DIAMETER


def _in_gap(one: Tip, other: Tip, probability: np.ndarray) -> np.ndarray:
    """Return the probability on the line from one end to another, beyond both lumens."""
    between = other.position - one.position
    distance = float(np.linalg.norm(between))
    line = one.position + np.linspace(0.0, 1.0, max(int(2 * distance), 2))[:, None] * between
    along = np.linspace(0.0, distance, len(line))
    inside = (along > one.end_radius_px + 1) & (along < distance - other.end_radius_px - 1)
    return map_coordinates(probability, line[inside].T, order=1)


def _degrees_past(tip: Tip, towards: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(tip.outward @ towards, -1.0, 1.0))))
