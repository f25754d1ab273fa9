"""Take spurs and crumbs out of a skeleton graph."""

from __future__ import annotations

import heapq

import networkx as nx
import numpy as np

from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.vessel_tree.tree import PrunedBranch

Edge = tuple[int, int, int]


def prune(
    graph: nx.MultiGraph, loops: list[np.ndarray], minimum_px: float
) -> tuple[list[np.ndarray], list[PrunedBranch]]:
    """Remove branches that do not stand out by `minimum_px`, the least first, and join branches that a spur had parted.

    Args:
        graph: as `skeleton_graph` gives it, with the node attribute `radius`; changed in place.
        loops: closed paths (N, 2) that touch no node.
        minimum_px: shortest piece to keep.

    Returns:
        The loops that are left (a loop that lost its last side branch among them) and the pieces that were removed.
    """
    pruned: list[PrunedBranch] = []
    for node, _, key in list(nx.selfloop_edges(graph, keys=True)):
        path = graph.edges[node, node, key]["path"]
        if Polyline(path).length < minimum_px:
            pruned.append(_cut(path, f"loop at a bifurcation, shorter than {minimum_px:g} px"))
            graph.remove_edge(node, node, key)
            _join_at(graph, node)

    heap = [spur for edge in graph.edges(keys=True) if (spur := _spur(graph, edge, minimum_px))]
    heapq.heapify(heap)
    while heap:
        _, tip, base, key = heapq.heappop(heap)
        if not graph.has_edge(tip, base, key):
            continue
        if graph.degree(base) == 1:
            path = graph.edges[tip, base, key]["path"]
            pruned.append(_cut(path, f"free-standing and shorter than {minimum_px:g} px"))
            graph.remove_nodes_from([tip, base])
            continue
        # The skeleton of a blunt end forks into the corners: then all the spurs go, and the fork becomes the
        # end.
        spurs = [spur for edge in graph.edges(base, keys=True) if (spur := _spur(graph, edge, minimum_px))]
        tips = [spur[1] for spur in spurs] if graph.degree(base) - len(spurs) == 1 else [tip]
        for tip in tips:
            ((_, _, data),) = graph.edges(tip, data=True)
            radius = graph.nodes[base]["radius"]
            reason = f"spur standing less than {minimum_px:g} px out of a vessel of radius {radius:.1f} px"
            pruned.append(_cut(data["path"], reason))
            graph.remove_node(tip)
        changed = _join_at(graph, base)
        if graph.has_node(base) and graph.degree(base) == 1:
            changed = next(iter(graph.edges(base, keys=True)))
        # Only the branch that has just grown together or got a free end can have become a spur.
        if changed and (spur := _spur(graph, changed, minimum_px)):
            heapq.heappush(heap, spur)

    kept = []
    for node in list(graph):
        if graph.degree(node) == 0:
            pruned.append(_cut(graph.nodes[node]["position"][None], "a blob without any length"))
            graph.remove_node(node)
        elif graph.number_of_edges(node, node) == 1 and graph.degree(node) == 2:
            loops = [*loops, graph.edges[next(iter(graph.edges(node, keys=True)))]["path"]]
            graph.remove_node(node)
    for loop in loops:
        if Polyline(loop).length < minimum_px:
            pruned.append(_cut(loop, f"free-standing loop, shorter than {minimum_px:g} px"))
        else:
            kept.append(loop)
    return kept, pruned


def _cut(path: np.ndarray, reason: str) -> PrunedBranch:
    return PrunedBranch(path, Polyline(path).length, reason)


def _spur(graph: nx.MultiGraph, edge: Edge, minimum_px: float) -> tuple[float, int, int, int] | None:
    """Return how far a free end stands out, its tip, base and key, or None if that is far enough."""
    start, end, key = edge
    tip, base = (start, end) if graph.degree(start) == 1 else (end, start)
    if graph.degree(tip) != 1:
        return None
    inside = 0.0 if graph.degree(base) == 1 else graph.nodes[base]["radius"]
    outside = Polyline(graph.edges[edge]["path"]).length - inside
    return (outside, tip, base, key) if outside < minimum_px else None


def _join_at(graph: nx.MultiGraph, node: int) -> Edge | None:
    """Make one branch of the two that meet at a node that is no bifurcation any more; return its edge."""
    edges = list(graph.edges(node, keys=True, data=True))
    if len(edges) != 2 or graph.degree(node) != 2:
        return None
    (_, start, _, first), (_, end, _, second) = edges
    towards = first["path"] if first["origin"] == start else first["path"][::-1]
    away = second["path"] if second["origin"] == node else second["path"][::-1]
    graph.remove_node(node)
    key = graph.add_edge(start, end, path=np.vstack([towards, away[1:]]), origin=start)
    return start, end, key
