"""Vessels: branches of the tree joined through bifurcations, crossings and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, permutations

import numpy as np
from scipy.spatial import cKDTree

from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.qca.courses import label_cost
from monai_lora_sam.coronary.qca.tips import Tip, tips_of, values_at
from monai_lora_sam.coronary.vessel_tree import Branch, Node, VesselTree, crossing_pairs, turn_at

SPACING_PX = 0.5  # between two points of a vessel
LARGEST_TURN_DEGREES = 100.0  # at a bifurcation; a vessel that turns by more is another vessel
WIDTH_WEIGHT = 1.0  # radians of turn, as bad as leaving out a branch as wide as the vessel
CALIBRE_WEIGHT = 0.7  # radians of turn, as bad as a calibre that changes by a factor e
OWN_RADIUS = 1.3  # of its median radius, a vessel's radius at most where it leaves another
MOUTH_PX = 1.0  # length beside another vessel's lumen, in addition to that vessel's radius


@dataclass(frozen=True, eq=False)
class VesselPath:
    """Hold one vessel from end to end.

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

    @cached_property
    def line(self) -> Polyline:
        """Return the points as an open line; the last point of a loop is its first."""
        return Polyline(self.points_rc)

    @property
    def normals(self) -> np.ndarray:
        """Return the unit vectors (N, 2) across the path; a loop goes on beyond its first and its last point."""
        if not self.closed:
            return self.line.normals
        points = self.points_rc
        return Polyline(np.vstack([points[-2], points, points[1]])).normals[1:-1]


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
        return (
            turn_at(one.outward, other.outward)
            + WIDTH_WEIGHT * left_out
            + unlike
            + label_cost(one.label, other.label)
        )

    pairs = [
        (one, other)
        for one, other in combinations(tips, 2)
        if np.degrees(turn_at(one.outward, other.outward)) < LARGEST_TURN_DEGREES
        and one.branch != other.branch
    ]
    if len(tips) >= 4:
        crossing = _crossing(tips)
        if crossing:
            return crossing
    return [min(pairs, key=lambda pair: cost(*pair))] if pairs else []


def _crossing(tips: list[Tip]) -> list[tuple[Tip, Tip]]:
    """Pair the four widest tips to two vessels that cross; nothing where they do not."""
    widest = sorted(tips, key=lambda tip: -tip.radius_px)[:4]

    def misfit(first: int, second: int) -> float:
        one, other = widest[first], widest[second]
        if one.branch == other.branch:
            return np.inf
        return label_cost(one.label, other.label) + abs(float(np.log(one.radius_px / other.radius_px)))

    pairs = crossing_pairs([tip.outward for tip in widest], misfit)
    return [] if pairs is None else [(widest[first], widest[second]) for first, second in pairs]


def vessel_paths(
    tree: VesselTree, radius: np.ndarray, labels: Sequence[int], bridges: Sequence[tuple[Tip, Tip]] = ()
) -> list[VesselPath]:
    """Join the tree's branches to vessels; each branch is part of one, but for short ones inside a junction.

    Args:
        tree, radius, labels: as of `tips_of`.
        bridges: free ends that face each other over a gap.
    """
    groups, inner = clusters(tree)
    joins = [*_joins(tree, tips_of(tree, radius, labels), groups, inner), *bridges]
    partner: dict[tuple[int, bool], Tip] = {}
    for one, other in joins:
        partner[one.key], partner[other.key] = other, one
    bridged = {tip.key for pair in bridges for tip in pair}
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
        paths.append(_assemble(tree, chain, bridged))
    paths.sort(key=lambda path: -len(path.points_rc))
    return [replace(path, id=number) for number, path in enumerate(paths)]


def _joins(
    tree: VesselTree, tips: dict[tuple[int, bool], Tip], groups: list[list[Node]], inner: set[int]
) -> list[tuple[Tip, Tip]]:
    """Return the pairs of tips that go on as one vessel at the junctions of a tree."""
    pairs = []
    for nodes in groups:
        members = {node.id for node in nodes}
        meeting = [
            tip
            for tip in tips.values()
            if tip.branch not in inner and _node(tree.branches[tip.branch], tip.at_start).id in members
        ]
        pairs += join_at(meeting)
    return pairs


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


def _assemble(tree: VesselTree, chain: list[tuple[int, bool]], bridged: set[tuple[int, bool]]) -> VesselPath:
    """Make one path of the branches of a chain; `bridged` has the tips that face each other over a gap."""
    pieces = []
    for number, (index, backwards) in enumerate(chain):
        pieces.append(_piece(tree.branches[index], backwards, number > 0, number < len(chain) - 1))
    line, gaps = [pieces[0]], []
    for before, after, (index, backwards) in zip(pieces[:-1], pieces[1:], chain[1:], strict=True):
        if (index, not backwards) in bridged:
            gaps.append((before[-1], after[0]))
        line += [_bridge(before, after), after]
    path = Polyline(np.vstack(line)).resample(SPACING_PX)
    (first, backwards), (last, last_backwards) = chain[0], chain[-1]
    return VesselPath(
        id=0,
        points_rc=path.points,
        branches=tuple(chain),
        starts_at=_node(tree.branches[first], not backwards),
        ends_at=_node(tree.branches[last], last_backwards),
        bridges=tuple((_nearest_arc(path, start), _nearest_arc(path, stop)) for start, stop in gaps),
    )


def _piece(branch: Branch, backwards: bool, joined_before: bool, joined_behind: bool) -> np.ndarray:
    """Return the points of a branch, without those inside the bifurcations at which it is joined."""
    points = branch.centreline_rc[::-1] if backwards else branch.centreline_rc
    first, last = _node(branch, not backwards), _node(branch, backwards)
    arc = np.linspace(0.0, branch.length_px, len(points))
    third = branch.length_px / 3
    begin = min(first.radius_px, third) if joined_before and first.kind == "bifurcation" else 0.0
    end = min(last.radius_px, third) if joined_behind and last.kind == "bifurcation" else 0.0
    return points[(arc >= begin) & (arc <= branch.length_px - end)]


def _nearest_arc(line: Polyline, point: np.ndarray) -> float:
    return float(line.arc_length[np.argmin(np.linalg.norm(line.points - point, axis=1))])


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


def beside_others(paths: list[VesselPath], others: list[np.ndarray], radius: np.ndarray) -> list[np.ndarray]:
    """Find the points of each vessel that lie beside a bifurcation or another vessel.

    A side branch's mouth reaches along the vessel as far as the branch's centreline lies within the vessel's
    lumen, and one radius of the branch on either side; the same where another vessel crosses. A side branch
    itself counts from where it has left the other lumen, and one radius of its own.

    Args:
        paths: the vessels.
        others: (M, 2) further centrelines, of short branches inside junctions.
        radius: (H, W), distance of each pixel of the mask to the background.

    Returns:
        One (N,) bool array per vessel.
    """
    lines = [path.points_rc for path in paths] + others
    radii = [values_at(line, radius) for line in lines]
    boxes = [(line.min(axis=0), line.max(axis=0)) for line in lines]
    trees = [cKDTree(line) for line in lines]
    # Inside the junction a branch's own radius cannot be seen.
    shown = [np.minimum(one, OWN_RADIUS * np.median(one)) + MOUTH_PX for one in radii]
    # Where stretches begin (+1) and end (-1) along each vessel.
    changes = [np.zeros(len(path.points_rc) + 1, dtype=int) for path in paths]
    for p, q in permutations(range(len(lines)), 2):
        largest = max(radii[p].max(), radii[q].max()) + 1.0
        if min(p, q) >= len(paths) or _boxes_apart(boxes[p], boxes[q], largest):
            continue
        far, nearest = trees[p].query(lines[q], distance_upper_bound=largest)
        hit = np.flatnonzero(np.isfinite(far))
        hit = hit[far[hit] < radii[p][nearest[hit]] + 1.0]
        if p < len(paths):
            _mark(changes[p], nearest[hit], shown[q][hit])
        if q < len(paths):
            _mark(changes[q], hit, shown[q][hit])
    return [np.cumsum(change)[:-1] > 0 for change in changes]


def _mark(changes: np.ndarray, points: np.ndarray, margins_px: np.ndarray) -> None:
    """Begin a stretch a margin before each of the points and end it as far behind."""
    reach = (margins_px / SPACING_PX).astype(int)
    np.add.at(changes, np.maximum(points - reach, 0), 1)
    np.add.at(changes, np.minimum(points + reach + 1, len(changes) - 1), -1)


def _boxes_apart(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], margin: float
) -> bool:
    return bool(np.any(one[0] > other[1] + margin) or np.any(other[0] > one[1] + margin))
