"""Min-sum dynamic programming over a forest, level by level."""

from __future__ import annotations

import networkx as nx
import numpy as np


class Forest:
    """Find the cheapest labels of a forest's nodes, and the least cost with each other label.

    Args:
        count: number of nodes.
        edges: (E, 2) node numbers; each edge has one of several tables of pair costs.
        tables: (E,) index of each edge's table.

    Raises:
        ValueError: the edges close a loop.

    Example:
        >>> forest = Forest(2, np.array([[0, 1]]), np.array([0]))
        >>> forest.solve(np.array([[0.0, 3.0], [2.0, 0.0]]), np.array([[[0.0, 9.0], [9.0, 0.0]]]))[0]
        array([0, 0])
    """

    def __init__(self, count: int, edges: np.ndarray, tables: np.ndarray) -> None:
        graph = nx.Graph()
        graph.add_nodes_from(range(count))
        graph.add_edges_from(
            (u, v, {"table": table}) for (u, v), table in zip(edges.tolist(), tables, strict=True)
        )
        if count and (graph.number_of_edges() != len(edges) or not nx.is_forest(graph)):
            raise ValueError(f"expected edges without a loop, found {len(edges)} edges over {count} nodes")
        self._parent = np.full(count, -1)
        self._table = np.zeros(count, dtype=int)
        self._root = np.arange(count)
        depth = np.zeros(count, dtype=int)
        for component in nx.connected_components(graph):
            root = _middle(graph, next(iter(component)))
            self._root[list(component)] = root
            for upper, node in nx.bfs_edges(graph, root):
                self._parent[node], depth[node] = upper, depth[upper] + 1
                self._table[node] = graph.edges[upper, node]["table"]
        self._levels = [np.flatnonzero(depth == level) for level in range(depth.max(initial=-1) + 1)]

    def solve(self, cost: np.ndarray, pair_cost: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the cheapest labels (P,) and their cost.

        Args:
            cost: (P, K) of each label at each node; infinite where it is not to be had.
            pair_cost: (tables, K, K), symmetric, of two labels along an edge.
        """
        upward, _, best_below = self._upward(cost, pair_cost)
        labels = np.zeros(len(cost), dtype=int)
        total = 0.0
        for level, nodes in enumerate(self._levels):
            if level:
                labels[nodes] = best_below[nodes, labels[self._parent[nodes]]]
            else:
                labels[nodes] = upward[nodes].argmin(axis=1)
                total = float(upward[nodes].min(axis=1).sum())
        return labels, total

    def minimum_marginals(self, cost: np.ndarray, pair_cost: np.ndarray) -> np.ndarray:
        """Return (P, K) the cost of the cheapest labels of the whole forest that give this node this label."""
        upward, message, _ = self._upward(cost, pair_cost)
        marginals = upward.copy()
        for nodes in self._levels[1:]:
            above = marginals[self._parent[nodes]]
            finite = np.isfinite(above)
            rest = np.where(finite, above - np.where(finite, message[nodes], 0.0), np.inf)
            marginals[nodes] = upward[nodes] + (rest[:, None, :] + pair_cost[self._table[nodes]]).min(axis=2)
        roots = np.unique(self._root)
        cheapest = upward.min(axis=1)
        return marginals + (cheapest[roots].sum() - cheapest[self._root])[:, None]

    def _upward(self, cost: np.ndarray, pair_cost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each node's cost with all below it, the message to its parent, and the labels behind that."""
        upward, message = cost.copy(), np.zeros_like(cost)
        best = np.zeros(cost.shape, dtype=int)
        for nodes in self._levels[:0:-1]:
            pairs = upward[nodes][:, None, :] + pair_cost[self._table[nodes]]
            best[nodes] = pairs.argmin(axis=2)
            message[nodes] = pairs.min(axis=2)
            np.add.at(upward, self._parent[nodes], message[nodes])
        return upward, message, best


def _middle(graph: nx.Graph, node: int) -> int:
    """Return the middle of a longest path of the node's tree, so that the levels are few."""
    far = list(nx.bfs_tree(graph, node))[-1]
    paths = nx.single_source_shortest_path(graph, far)
    longest = max(paths.values(), key=len)
    return longest[len(longest) // 2]
