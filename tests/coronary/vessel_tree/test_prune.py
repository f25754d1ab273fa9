"""Spurs, loops and crumbs of small graphs, made by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np

from monai_lora_sam.coronary.vessel_tree.prune import prune


def star(*lengths, radius=2.0):
    """Return a graph of straight branches of some lengths that leave one bifurcation along the rows."""
    graph = nx.MultiGraph()
    graph.add_node(0, position=np.zeros(2), radius=radius)
    for tip, length in enumerate(lengths, start=1):
        angle = 2 * np.pi * tip / len(lengths)
        path = np.arange(length + 1.0)[:, None] * np.array([np.sin(angle), np.cos(angle)])
        graph.add_node(tip, position=path[-1], radius=1.0)
        graph.add_edge(0, tip, path=path, origin=0)
    return graph


def test_a_spur_goes_and_the_branches_that_it_had_parted_become_one():
    graph = star(30, 20, 6)
    loops, pruned = prune(graph, [], minimum_px=5.0)
    assert loops == [] and [piece.length_px for piece in pruned] == [6.0]
    assert "less than 5 px out of a vessel of radius 2.0" in pruned[0].reason
    ((_, _, data),) = graph.edges(data=True)
    assert len(data["path"]) == 51


def test_a_branch_that_stands_out_stays():
    graph = star(30, 20, 8)
    assert prune(graph, [], minimum_px=5.0) == ([], [])
    assert graph.number_of_edges() == 3


def test_short_loops_and_free_pieces_go():
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]], dtype=float)
    graph = nx.MultiGraph()
    for name in (0, 1):
        graph.add_node(name, position=np.array([9.0, 3.0 * name]), radius=1.0)
    graph.add_edge(0, 1, path=np.array([[9.0, 0.0], [9.0, 3.0]]), origin=0)
    kept, pruned = prune(graph, [square, 10 * square], minimum_px=5.0)
    assert [len(loop) for loop in kept] == [5] and kept[0].max() == 10
    assert {(piece.length_px, piece.reason.split(" and ")[0].split(",")[0]) for piece in pruned} == {
        (3.0, "free-standing"),
        (4.0, "free-standing loop"),
    }
    assert graph.number_of_nodes() == 0
