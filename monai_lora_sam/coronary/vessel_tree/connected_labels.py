"""The cheapest labels of a forest's nodes under which neighbours are allowed and each label is one run.

On a forest the number of runs of a label is the number of its nodes less the number of edges inside it, which
is linear. The condition that there is one run is priced by Lagrange multipliers; the rest is dynamic
programming over the forest, which gives a lower bound and, repaired, a solution. Where the two meet, that
solution is the optimum. Otherwise the labels whose bound lies above the solution are struck out, and an integer
programme (HiGHS) decides between the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np

from monai_lora_sam.coronary.vessel_tree.forest import Forest
from monai_lora_sam.coronary.vessel_tree.integer_programme import integer_programme

ITERATIONS = 60
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Assignment:
    """Hold labels (P,), their cost, and a bound that no labels can undercut."""

    labels: np.ndarray
    cost: float
    lower_bound: float

    @property
    def is_optimal(self) -> bool:
        return self.cost - self.lower_bound <= _tolerance(self.cost)


class ConnectedLabels:
    """Find the cheapest connected labels: `lower_bound` is quick, `solve` and `solve_below` are exact.

    Label 0 is free: it is a neighbour of every label and may lie in many places. Any other label is one connected
    run of nodes, or absent.

    Args:
        cost: (P, K) of each label at each node, finite.
        edges: (E, 2) a forest.
        is_link: (E,) bool. False: the labels of the two ends are equal or allowed neighbours, and a change costs.
            True: a label may stay connected over it, but it demands nothing.
        allowed: (K, K) bool, symmetric: which labels may be neighbours.
        change_cost: price of two different labels along an edge that is no link, >= 0.

    Raises:
        ValueError: shapes that do not fit, costs that are not finite, or edges that close a loop.

    Example:
        >>> cost = np.array([[1, 0], [0, 1], [1, 0.5]])
        >>> edges = np.array([[0, 1], [1, 2]])
        >>> ConnectedLabels(cost, edges, np.zeros(2, int), np.ones((2, 2), bool), 0.0).solve().labels
        array([1, 0, 0])
    """

    def __init__(
        self,
        cost: np.ndarray,
        edges: np.ndarray,
        is_link: np.ndarray,
        allowed: np.ndarray,
        change_cost: float,
    ) -> None:
        self.count, self.classes = cost.shape
        if not np.isfinite(cost).all():
            raise ValueError("expected finite costs of the labels, found NaN or infinity")
        if allowed.shape != (self.classes, self.classes) or not (allowed == allowed.T).all():
            raise ValueError(f"expected allowed as a symmetric table of {self.classes} labels")
        if not change_cost >= 0:
            raise ValueError(f"expected change_cost >= 0, found {change_cost}")
        self.cost, self.edges, self.is_link = cost.astype(float), edges.reshape(-1, 2), is_link
        self.allowed = allowed | np.eye(self.classes, dtype=bool)
        self.allowed[0] = self.allowed[:, 0] = True
        self.change_cost = float(change_cost)
        self._forest = Forest(self.count, self.edges, is_link.astype(int))
        different = ~np.eye(self.classes, dtype=bool)
        self._pair_cost = np.stack(
            [np.where(self.allowed, self.change_cost * different, np.inf), np.zeros(different.shape)]
        )

    def total(self, labels: np.ndarray) -> float:
        """Return the cost of labels, infinite where they break a condition."""
        first, second = labels[self.edges].T
        demanding = ~self.is_link
        if not self.allowed[first, second][demanding].all() or (self._runs_of(labels)[1:] > 1).any():
            return np.inf
        own = self.cost[np.arange(self.count), labels].sum()
        return float(own + self.change_cost * (first != second)[demanding].sum())

    def lower_bound(self) -> float:
        """Return a lower bound of the cost: the optimum where a label may lie in many places."""
        return self._forest.solve(self.cost, self._pair_cost)[1]

    def solve(self) -> Assignment:
        """Return the optimum."""
        return self._search(np.inf)

    def solve_below(self, cutoff: float) -> Assignment | None:
        """Return the optimum, or None when it does not cost less than `cutoff`."""
        found = self._search(cutoff)
        return found if found.cost < cutoff else None

    def _search(self, cutoff: float) -> Assignment:
        """Return the optimum if it costs less than `cutoff`, else any labels that do not."""
        prices = np.zeros(self.classes)
        best_prices, bound = prices, -np.inf
        labels = np.zeros(self.count, dtype=int)
        cost = self.total(labels)
        step, stalled = 1.0, 0
        for iteration in range(ITERATIONS):
            found, value = self._priced(prices)
            if value > bound + TOLERANCE:
                best_prices, bound, stalled = prices, value, 0
            else:
                stalled += 1
            excess = self._runs_of(found) - 1.0
            excess[0] = 0.0
            excess[(prices <= 0) & (excess < 0)] = 0.0
            if iteration % 4 == 0 or not excess.any():
                repaired = self._repaired(found, prices)
                if (price := self.total(repaired)) < cost:
                    labels, cost = repaired, price
            if cost - bound <= _tolerance(cost) or bound >= cutoff or not excess.any():
                break
            if stalled == 3:
                prices, step, stalled = best_prices, step / 2, 0
                continue
            ahead = prices + 0.7 * step * (cost - value) / (excess @ excess) * excess
            prices = np.maximum(ahead, 0.0)
        if cost - bound > _tolerance(cost) and bound < cutoff:
            labels, cost, bound = self._decided(best_prices, labels, cost, bound, cutoff)
        return Assignment(labels, cost, bound)

    def _priced_costs(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.cost + prices, self._pair_cost - np.diag(prices)

    def _priced(self, prices: np.ndarray) -> tuple[np.ndarray, float]:
        labels, value = self._forest.solve(*self._priced_costs(prices))
        return labels, value - float(prices.sum())

    def _runs_of(self, labels: np.ndarray) -> np.ndarray:
        """Return the number of connected runs of each label."""
        first, second = labels[self.edges].T
        inside = np.bincount(first[first == second], minlength=self.classes)
        return np.bincount(labels, minlength=self.classes) - inside

    def _repaired(self, labels: np.ndarray, prices: np.ndarray) -> np.ndarray:
        """Forbid each label everywhere but in its best run and solve again, until every label is one run."""
        cost, pair_cost = self._priced_costs(prices)
        while (self._runs_of(labels)[1:] > 1).any():
            graph = nx.Graph()
            graph.add_nodes_from(np.flatnonzero(labels).tolist())
            first, second = labels[self.edges].T
            graph.add_edges_from(self.edges[(first == second) & (first > 0)].tolist())
            best: dict[int, tuple[float, list[int]]] = {}
            for run in map(list, nx.connected_components(graph)):
                label = int(labels[run[0]])
                gain = float((self.cost[run, 0] - self.cost[run, label]).sum())
                if label in best:
                    worse = run if gain <= best[label][0] else best[label][1]
                    cost[worse, label] = np.inf
                if label not in best or gain > best[label][0]:
                    best[label] = gain, run
            labels, _ = self._forest.solve(cost, pair_cost)
        return labels

    def _decided(
        self, prices: np.ndarray, labels: np.ndarray, cost: float, bound: float, cutoff: float
    ) -> tuple[np.ndarray, float, float]:
        marginals = self._forest.minimum_marginals(*self._priced_costs(prices)) - prices.sum()
        limit = min(cost, cutoff)
        found, dual = integer_programme(
            self.cost,
            self.edges,
            self.is_link,
            self.allowed,
            self.change_cost,
            keep=marginals <= limit + _tolerance(limit),
        )
        if found is not None and (value := self.total(found)) < cost:
            labels, cost = found, value
        # Labels that were struck out cost more than the limit.
        return labels, cost, max(bound, min(dual, limit, cost))


def _tolerance(cost: float) -> float:
    return TOLERANCE * max(1.0, abs(cost))
