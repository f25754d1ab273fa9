"""The skeleton of a mask as a graph of nodes and pixel paths.

`skan` would give such a graph too, but it brings numba, LLVM, pandas and openpyxl and compiles for seconds
at its first call; networkx is installed with torch anyway.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

# One half of the eight neighbours, so that each pair of pixels is met once: straight steps, then diagonal
# ones.
STRAIGHT = ((0, 1), (1, 0))
DIAGONAL = ((1, 1), (1, -1))


def pixel_graph(skeleton: np.ndarray) -> nx.Graph:
    """Join neighbouring skeleton pixels.

    Diagonal neighbours are joined only where no straight detour over a third skeleton pixel exists,
    otherwise every corner of a staircase would look like a bifurcation.
    """
    padded = np.pad(skeleton, 1)
    graph = nx.Graph()
    graph.add_nodes_from(map(tuple, np.argwhere(skeleton).tolist()))
    for row_step, column_step in STRAIGHT + DIAGONAL:
        neighbour = np.roll(padded, (-row_step, -column_step), (0, 1))
        joined = padded & neighbour
        if (row_step, column_step) in DIAGONAL:
            joined &= ~np.roll(padded, -row_step, 0) & ~np.roll(padded, -column_step, 1)
        for row, column in (np.argwhere(joined) - 1).tolist():
            graph.add_edge((row, column), (row + row_step, column + column_step))
    return graph


def skeleton_graph(skeleton: np.ndarray) -> tuple[nx.MultiGraph, list[np.ndarray]]:
    """Turn a skeleton (H, W) of one pixel's width into a graph whose edges carry pixel paths.

    Returns:
        The graph (node attribute `position`, (2,) row and column; edge attribute `path`, (N, 2) from the
        edge's attribute `origin` to its other node) and the closed loops that touch no node, each an (N, 2)
        path whose last point is its first.
    """
    pixels = pixel_graph(skeleton)
    degree = dict(pixels.degree())
    graph = nx.MultiGraph()
    node_of: dict[tuple[int, int], int] = {}
    junctions = pixels.subgraph([pixel for pixel, count in degree.items() if count > 2])
    groups = [sorted(group) for group in nx.connected_components(junctions)]
    groups += [[pixel] for pixel, count in degree.items() if count < 2]
    for index, group in enumerate(groups):
        graph.add_node(index, position=np.mean(group, axis=0))
        node_of.update(dict.fromkeys(group, index))

    loops = []
    between = pixels.subgraph([pixel for pixel, count in degree.items() if count == 2])
    for run in nx.connected_components(between):
        outer = [(pixel, other) for pixel in sorted(run) for other in pixels[pixel] if other in node_of]
        if not outer:
            ring = [edge[0] for edge in nx.find_cycle(pixels.subgraph(run))]
            loops.append(np.array([*ring, ring[0]], dtype=float))
            continue
        (first, before), (_, after) = outer
        chain = [before, first]
        while len(chain) <= len(run):
            back, ahead = pixels[chain[-1]]
            chain.append(ahead if back == chain[-2] else back)
        _add_path(graph, node_of[before], node_of[after], np.array(chain[1:], dtype=float))
    # Two free ends side by side, or an end that touches a bifurcation: no pixel lies between them.
    for pixel, other in pixels.edges:
        if pixel in node_of and other in node_of and node_of[pixel] != node_of[other]:
            _add_path(graph, node_of[pixel], node_of[other], np.empty((0, 2)))
    return graph, loops


def _add_path(graph: nx.MultiGraph, start: int, end: int, inner: np.ndarray) -> None:
    path = np.vstack([graph.nodes[start]["position"], inner, graph.nodes[end]["position"]])
    graph.add_edge(start, end, path=path, origin=start)
