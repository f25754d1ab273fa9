"""Cut a vessel tree into short pieces and pair those that follow one another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from monai_lora_sam.coronary.vessel_tree.crossing import crossing_pairs
from monai_lora_sam.coronary.vessel_tree.tree import Branch, VesselTree

Pair = tuple[int, int]

#: The direction of a branch at its end is taken over so many pixels.
DIRECTION_PX = 10.0


@dataclass(frozen=True, eq=False)
class Pieces:
    """Hold the pieces of a tree and how they hang together.

    Attributes:
        points_rc: of each piece (N, 2), in the order of its branch.
        branch_ids: (P,) the branch of each piece.
        lengths_px: (P,).
        joints: number of joints, where branches meet; joint j is node P + j of the pairs. It has no length.
        joined: (E, 2) pairs of nodes of which one follows the other along the vessel.
        links: (F, 2) pairs that may belong to one vessel though it is not seen there: the two joints of a
            crossing, or the two sides of a gap.
    """

    points_rc: list[np.ndarray]
    branch_ids: np.ndarray
    lengths_px: np.ndarray
    joints: int
    joined: np.ndarray
    links: np.ndarray


@dataclass(frozen=True, eq=False)
class _Arm:
    """The end of a branch at a node: its outermost piece, and the unit vector in which it leaves the node."""

    piece: int
    outward: np.ndarray
    position_rc: np.ndarray


@dataclass(frozen=True)
class _Joints:
    """Hold the number of joints, the pairs (joint, piece), and the pairs of joints that cross each other."""

    count: int
    joined: list[Pair]
    crossed: list[Pair]


def cut_into_pieces(tree: VesselTree, piece_px: float, gap_px: float) -> Pieces:
    """Cut each branch into pieces of about equal length.

    Where four or more branches meet and two pairs of them run straight on, they are two vessels that cross.

    Args:
        tree: the vessel tree.
        piece_px: the length aimed at, > 0.
        gap_px: a free end is linked with the nearest piece of another part of the tree up to this distance.
    """
    cut = {branch.id: _cut(branch, piece_px) for branch in tree.branches}
    points = [part for parts in cut.values() for part in parts]
    numbers = _numbered(cut)
    along = _pairs_along(tree.branches, numbers)
    arms = _arms_by_node(tree.branches, numbers)
    joints = _joints([meeting for meeting in arms if len(meeting) > 1], len(points))
    joined = along + joints.joined
    free = [meeting[0] for meeting in arms if len(meeting) == 1]
    nodes = len(points) + joints.count
    gaps = _gaps(points, nodes, joined + joints.crossed, free, gap_px)
    return Pieces(
        points,
        np.array([branch for branch, parts in cut.items() for _ in parts], dtype=int),
        np.array(
            [length for branch in tree.branches for length in _lengths(branch, cut[branch.id])], dtype=float
        ),
        joints.count,
        _pairs(joined),
        _pairs(joints.crossed + gaps),
    )


def _cut(branch: Branch, piece_px: float) -> list[np.ndarray]:
    """Return the parts (N, 2) of a branch's centreline, of about equal length."""
    line = branch.centreline_rc
    return np.array_split(line, min(max(1, round(branch.length_px / piece_px)), len(line)))


def _lengths(branch: Branch, parts: list[np.ndarray]) -> list[float]:
    return [branch.length_px * len(part) / len(branch.centreline_rc) for part in parts]


def _numbered(cut: dict[int, list[np.ndarray]]) -> dict[int, range]:
    """Return the numbers of each branch's pieces, which run through the whole tree."""
    numbers: dict[int, range] = {}
    first = 0
    for branch, parts in cut.items():
        numbers[branch] = range(first, first + len(parts))
        first += len(parts)
    return numbers


def _pairs_along(branches: Iterable[Branch], numbers: dict[int, range]) -> list[Pair]:
    """Return the pairs of pieces that follow one another along a branch; a loop's last piece meets its first."""
    pairs: list[Pair] = []
    for branch in branches:
        own = numbers[branch.id]
        pairs += pairwise(own)
        if branch.is_closed and len(own) > 2:
            pairs.append((own[0], own[-1]))
    return pairs


def _arms_by_node(branches: Iterable[Branch], numbers: dict[int, range]) -> list[list[_Arm]]:
    """Return, for each node, the ends of the branches that meet there."""
    arms: dict[int, list[_Arm]] = {}
    for branch in branches:
        if branch.start is None or branch.end is None:
            continue
        line, own = branch.centreline_rc, numbers[branch.id]
        step = max(1, round(DIRECTION_PX / branch.length_px * len(line))) if branch.length_px else 1
        for node, piece, inwards in ((branch.start, own[0], line), (branch.end, own[-1], line[::-1])):
            away = inwards[min(step, len(line) - 1)] - inwards[0]
            outward = away / max(float(np.linalg.norm(away)), 1e-9)
            arms.setdefault(node.id, []).append(_Arm(piece, outward, inwards[0]))
    return list(arms.values())


def _joints(meetings: list[list[_Arm]], first: int) -> _Joints:
    """Number the joints from `first` on: one where branches meet, two where vessels cross."""
    joined: list[Pair] = []
    crossed: list[Pair] = []
    joint = first
    for meeting in meetings:
        groups = _crossing(meeting)
        crossed += pairwise(range(joint, joint + len(groups)))
        for group in groups:
            joined += [(joint, piece) for piece in dict.fromkeys(arm.piece for arm in group)]
            joint += 1
    return _Joints(joint - first, joined, crossed)


def _pairs(pairs: list[Pair]) -> np.ndarray:
    return np.array(pairs, dtype=int).reshape(-1, 2)


def nearest_pieces(points_rc: list[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """Return (H, W) the piece whose centreline is nearest to each pixel of the mask; -1 where there is none.

    A connected part of the mask that no centreline runs through, being too small, belongs to no piece.
    """
    nearest = np.full(mask.shape, -1)
    if not points_rc or not mask.any():
        return nearest
    line = np.concatenate(points_rc)
    owner = np.repeat(np.arange(len(points_rc)), [len(points) for points in points_rc])
    nearest[mask] = owner[cKDTree(line).query(np.argwhere(mask))[1]]
    parts, _ = ndimage.label(mask, np.ones((3, 3), dtype=bool))
    rows, columns = np.clip(np.rint(line).astype(int), 0, np.array(mask.shape) - 1).T
    nearest[~np.isin(parts, np.setdiff1d(parts[rows, columns], 0))] = -1
    return nearest


def forest_of(pieces: Pieces, evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Open the loops of the pieces' pairs.

    Coronary arteries form no loops: a loop in the picture is a crossing. It is opened at the pair whose
    evidence differs most; links come last.

    Args:
        pieces: of the tree.
        evidence: (P, K) a distribution over labels for each piece.

    Returns:
        Pairs (E, 2) that form a forest, and (E,) bool: True for a link, False where both are joined.
    """
    count = len(pieces.points_rc)
    known = np.concatenate([evidence, np.zeros((pieces.joints, evidence.shape[1]))])
    for joint in range(count, len(known)):
        known[joint] = evidence[pieces.joined[pieces.joined[:, 0] == joint, 1]].mean(axis=0)
    first, second = pieces.joined.T
    agreement = np.sqrt(known[first] * known[second]).sum(axis=1)
    pairs = np.concatenate([pieces.joined[np.argsort(-agreement, kind="stable")], pieces.links])
    is_link = np.repeat([False, True], [len(pieces.joined), len(pieces.links)])
    trees = nx.utils.UnionFind(range(len(known)))
    kept = np.zeros(len(pairs), dtype=bool)
    for index, (node, other) in enumerate(pairs.tolist()):
        kept[index] = trees[node] != trees[other]
        trees.union(node, other)
    return pairs[kept], is_link[kept]


def _crossing(meeting: list[_Arm]) -> list[list[_Arm]]:
    """Return the branches that meet at a node as one group, or as two where two vessels cross."""
    crossing = crossing_pairs([arm.outward for arm in meeting])
    if crossing is None:
        return [meeting]
    under = crossing[1]
    return [
        [arm for index, arm in enumerate(meeting) if index not in under],
        [meeting[index] for index in under],
    ]


def _gaps(
    points: list[np.ndarray], nodes: int, pairs: list[Pair], free: list[_Arm], gap_px: float
) -> list[Pair]:
    """Return each free end with the nearest piece of each other part of the tree up to a distance, nearest first."""
    trees = nx.utils.UnionFind(range(nodes))
    for node, other in pairs:
        trees.union(node, other)
    part = np.array([trees[piece] for piece in range(len(points))], dtype=int)
    if len(np.unique(part)) < 2:
        return []
    owner = np.repeat(np.arange(len(points)), [len(line) for line in points])
    line = np.concatenate(points)
    found = []
    for name in np.unique(part):
        inside = part[owner] == name
        search = cKDTree(line[inside])
        for arm in free:
            distance, nearest = search.query(arm.position_rc)
            if part[arm.piece] != name and distance <= gap_px:
                found.append((float(distance), arm.piece, int(owner[inside][nearest])))
    return [(piece, other) for _, piece, other in sorted(found)]
