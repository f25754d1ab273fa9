"""Vessels: branches of the tree joined through bifurcations, crossings and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from monai_lora_sam.coronary.qca.courses import label_cost
from monai_lora_sam.coronary.vessel_tree import Branch, Node, VesselTree

SPACING_PX = 0.5
STRAIGHT_DEGREES = 50.0  # both vessels of a crossing turn by less
LARGEST_TURN_DEGREES = 100.0  # a vessel that turns by more at a bifurcation is another vessel
WIDTH_WEIGHT = 1.0  # a side branch as wide as the rest is worth a turn of one radian
CALIBRE_WEIGHT = 0.7  # so is going on e times as wide, in radians, the reverse of it
WIDEST_REACH_PX = 40.0
DIRECTION_REACH = 2.0  # radii over which a branch's direction is taken, beyond the bifurcation


@dataclass(frozen=True)
class Tip:
    """One end of a branch.

    Attributes:
        branch, at_start: which one.
        position, outward: (2,) where it is, and the unit vector along which the branch would go on.
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


@dataclass(frozen=True, eq=False)
class VesselPath:
    """One vessel from end to end.

    Attributes:
        id: number, from the longest.
        points_rc: (N, 2), half a pixel apart.
        branches: the tree's branches in order, each with whether it runs backwards.
        starts_at, ends_at: the nodes at both ends; None at those of a loop.
        bridges: (begin, end) in px along the path of the gaps in the mask that were bridged.
    """

    id: int
    points_rc: np.ndarray
    branches: tuple[tuple[int, bool], ...]
    starts_at: Node | None
    ends_at: Node | None
    bridges: tuple[tuple[float, float], ...] = ()
    closed: bool = False

    @property
    def arc_length_px(self) -> np.ndarray:
        return arc_length(self.points_rc)


def arc_length(points: np.ndarray) -> np.ndarray:
    """Return the distance along a polyline (N, 2) from its first point, (N,)."""
    return np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]


def resample(points: np.ndarray) -> np.ndarray:
    """Return a polyline with points half a pixel apart."""
    arc = arc_length(points)
    wanted = np.linspace(0.0, arc[-1], max(2, round(arc[-1] / SPACING_PX) + 1))
    return np.column_stack([np.interp(wanted, arc, points[:, axis]) for axis in (0, 1)])


def tips_of(tree: VesselTree, radius: np.ndarray, labels: Sequence[int]) -> dict[tuple[int, bool], Tip]:
    """Return both ends of every open branch by (branch, at_start).

    Args:
        tree: the tree.
        radius: (H, W), distance of each pixel of the mask to the background.
        labels: ARCADE category id of each branch, 0 where unknown.
    """
    tips = {}
    for branch in tree.branches:
        for at_start, node in ((True, branch.start), (False, branch.end)):
            if node is None:
                continue
            points = branch.centreline_rc if at_start else branch.centreline_rc[::-1]
            arc = np.linspace(0.0, branch.length_px, len(points))
            begin = min(node.radius_px if node.kind == "bifurcation" else 0.0, 0.4 * branch.length_px)
            widths = radius_along(points, radius)
            widest = float(widths[(arc >= begin) & (arc <= begin + WIDEST_REACH_PX)].max(initial=0.5))
            # The last pixels of a vessel that narrows to its end point anywhere.
            scale = node.radius_px if node.kind == "bifurcation" else widest
            reach = max(DIRECTION_REACH * scale, 6.0)
            near = (arc >= begin) & (arc <= begin + reach)
            outward = points[near][0] - points[near][-1] if near.sum() > 1 else points[0] - points[-1]
            outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
            beyond = widths[(arc >= begin) & (arc <= begin + 3 * reach)]
            width = max(float(np.median(beyond)) if len(beyond) else node.radius_px, 0.5)
            widest = max(widest, width)
            tips[branch.id, at_start] = Tip(
                branch.id, at_start, points[0], outward, width, node.radius_px, widest, int(labels[branch.id])
            )
    return tips


def radius_along(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Read a map of radii (H, W) at points (N, 2)."""
    rows, columns = np.rint(points).astype(int).T
    return radius[rows.clip(0, radius.shape[0] - 1), columns.clip(0, radius.shape[1] - 1)]


def turn(one: Tip, other: Tip) -> float:
    """Return the angle in radians by which a vessel turns that comes in by one end and goes on by the other."""
    return float(np.arccos(np.clip(-one.outward @ other.outward, -1.0, 1.0)))


def clusters(tree: VesselTree) -> tuple[list[list[Node]], set[int]]:
    """Return groups of bifurcations whose discs touch, and the short branches inside of them."""
    group = {node.id: {node.id} for node in tree.nodes}
    inner: set[int] = set()
    for branch in tree.branches:
        start, end = branch.start, branch.end
        if start is None or end is None or start.kind != "bifurcation" or end.kind != "bifurcation":
            continue
        if branch.length_px < start.radius_px + end.radius_px:
            inner.add(branch.id)
            union = group[start.id] | group[end.id]
            for name in union:
                group[name] = union
    nodes = {node.id: node for node in tree.nodes}
    seen: set[int] = set()
    groups = []
    for node in tree.nodes:
        if node.kind == "bifurcation" and node.id not in seen:
            seen |= group[node.id]
            groups.append([nodes[name] for name in sorted(group[node.id])])
    return groups, inner


def join_at(tips: list[Tip]) -> list[tuple[Tip, Tip]]:
    """Choose which branches that meet go on as one vessel.

    Of three, the pair that turns the least and leaves out the thinnest. Of four, two pairs where both cross
    nearly straight, else one pair as of three. Labels of the segments go before both where given.
    """
    if len(tips) < 2:
        return []

    def cost(one: Tip, other: Tip) -> float:
        others = [tip.radius_px for tip in tips if tip is not one and tip is not other]
        left_out = max(others, default=0.0) / max(one.radius_px, other.radius_px, 1e-6)
        unlike = CALIBRE_WEIGHT * abs(np.log(one.radius_px / other.radius_px))
        return turn(one, other) + WIDTH_WEIGHT * left_out + unlike + label_cost(one.label, other.label)

    pairs = [
        (one, other)
        for one, other in combinations(tips, 2)
        if np.degrees(turn(one, other)) < LARGEST_TURN_DEGREES and one.branch != other.branch
    ]
    if len(tips) >= 4:
        crossing = _crossing(tips)
        if crossing:
            return crossing
    return [min(pairs, key=lambda pair: cost(*pair))] if pairs else []


def _crossing(tips: list[Tip]) -> list[tuple[Tip, Tip]]:
    first, *rest = sorted(tips, key=lambda tip: -tip.radius_px)[:4]
    best: list[tuple[Tip, Tip]] = []
    lowest = np.inf
    for index, partner in enumerate(rest):
        one, other = (tip for place, tip in enumerate(rest) if place != index)
        both = [(first, partner), (one, other)]
        if any(
            np.degrees(turn(*pair)) > STRAIGHT_DEGREES or pair[0].branch == pair[1].branch for pair in both
        ):
            continue
        total = sum(turn(*pair) + label_cost(pair[0].label, pair[1].label) for pair in both)
        total += sum(abs(np.log(pair[0].radius_px / pair[1].radius_px)) for pair in both)
        if total < lowest:
            lowest, best = total, both
    return best


def vessel_paths(
    tree: VesselTree, radius: np.ndarray, labels: Sequence[int], bridges: Sequence[tuple[Tip, Tip]] = ()
) -> list[VesselPath]:
    """Join the tree's branches to vessels; each branch is part of one, but for short ones inside a junction.

    Args:
        tree, radius, labels: as of `tips_of`.
        bridges: free ends that face each other over a gap.
    """
    tips = tips_of(tree, radius, labels)
    groups, inner = clusters(tree)
    partner: dict[tuple[int, bool], Tip] = {}
    for nodes in groups:
        members = {node.id for node in nodes}
        meeting = [
            tip
            for tip in tips.values()
            if tip.branch not in inner and _node(tree.branches[tip.branch], tip.at_start).id in members
        ]
        for one, other in join_at(meeting):
            partner[one.key], partner[other.key] = other, one
    across = set()
    for one, other in bridges:
        partner[one.key], partner[other.key] = other, one
        across |= {one.key, other.key}
    paths = []
    used: set[int] = set(inner)
    for branch in tree.branches:
        if branch.id in used:
            continue
        if branch.is_closed:
            used.add(branch.id)
            paths.append(VesselPath(0, branch.centreline_rc, ((branch.id, False),), None, None, closed=True))
            continue
        chain = _chain(branch, partner)
        used |= {index for index, _ in chain}
        paths.append(_assemble(tree, chain, across))
    paths.sort(key=lambda path: -len(path.points_rc))
    return [
        VesselPath(i, p.points_rc, p.branches, p.starts_at, p.ends_at, p.bridges, p.closed)
        for i, p in enumerate(paths)
    ]


def _node(branch: Branch, at_start: bool) -> Node:
    node = branch.start if at_start else branch.end
    assert node is not None
    return node


def _chain(branch: Branch, partner: dict[tuple[int, bool], Tip]) -> list[tuple[int, bool]]:
    """Follow the joins from a branch to both sides; a ring of branches is cut where it began."""
    chain = [(branch.id, False)]
    seen = {branch.id}
    for forward in (True, False):
        index, backwards = chain[-1] if forward else chain[0]
        while True:
            # Going forward a branch is left at its end, or at its start where it runs backwards.
            leaving = (index, backwards if forward else not backwards)
            following = partner.get(leaving)
            if following is None or following.branch in seen:
                break
            index = following.branch
            backwards = not following.at_start if forward else following.at_start
            seen.add(index)
            if forward:
                chain.append((index, backwards))
            else:
                chain.insert(0, (index, backwards))
    return chain


def _assemble(tree: VesselTree, chain: list[tuple[int, bool]], across: set[tuple[int, bool]]) -> VesselPath:
    pieces, cuts, bridged = [], [], []
    for place, (index, backwards) in enumerate(chain):
        branch = tree.branches[index]
        points = branch.centreline_rc[::-1] if backwards else branch.centreline_rc
        first, last = _node(branch, not backwards), _node(branch, backwards)
        arc = np.linspace(0.0, branch.length_px, len(points))
        third = branch.length_px / 3
        begin = min(first.radius_px, third) if place and first.kind == "bifurcation" else 0.0
        end = min(last.radius_px, third) if place < len(chain) - 1 and last.kind == "bifurcation" else 0.0
        keep = (arc >= begin) & (arc <= branch.length_px - end)
        pieces.append(points[keep])
        if place:
            bridged.append((index, not backwards) in across)
        cuts.append((first, last))
    line = [pieces[0]]
    gaps = []
    for before, after, is_bridge in zip(pieces[:-1], pieces[1:], bridged, strict=True):
        if is_bridge:
            gaps.append((before[-1], after[0]))
        line += [_bridge(before, after), after]
    points = resample(np.vstack(line))
    arc = arc_length(points)
    intervals = []
    for start, stop in gaps:
        at = [float(arc[np.argmin(np.linalg.norm(points - place, axis=1))]) for place in (start, stop)]
        intervals.append((at[0], at[1]))
    return VesselPath(0, points, tuple(chain), cuts[0][0], cuts[-1][1], tuple(intervals))


def _bridge(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Lead from one polyline's end to another's start by a cubic that keeps both directions."""
    start, stop = before[-1], after[0]
    gap = float(np.linalg.norm(stop - start))
    count = int(np.ceil(gap / SPACING_PX))
    if count < 2:
        return np.empty((0, 2))

    def direction(points: np.ndarray) -> np.ndarray:
        step = points[-1] - points[0]
        return step / max(float(np.linalg.norm(step)), 1e-9) * gap

    samples = max(2, round(max(4.0, gap / 2) / SPACING_PX))
    leaving, arriving = direction(before[-samples:]), direction(after[:samples])
    t = (np.arange(1, count) / count)[:, None]
    return (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * leaving
        + (3 * t**2 - 2 * t**3) * stop
        + (t**3 - t**2) * arriving
    )
