"""The integer programme against all labels of small trees, tried one by one."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree.integer_programme import integer_programme

NODES, CLASSES, CHANGE = 6, 3, 0.2


def by_trial(cost, edges, is_link, allowed, keep):
    best = np.inf
    for labels in map(np.array, product(range(CLASSES), repeat=NODES)):
        first, second = labels[edges].T
        if not keep[np.arange(NODES), labels].all() or not allowed[first, second][~is_link].all():
            continue
        graph = nx.Graph(edges[first == second].tolist())
        graph.add_nodes_from(range(NODES))
        inside = (graph.subgraph(np.flatnonzero(labels == label).tolist()) for label in range(1, CLASSES))
        if all(nx.number_connected_components(part) <= 1 for part in inside):
            changes = (first != second)[~is_link].sum()
            best = min(best, cost[np.arange(NODES), labels].sum() + CHANGE * changes)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_the_cheapest_labels(seed):
    rng = np.random.default_rng(seed)
    edges = np.array([[int(rng.integers(node)), node] for node in range(1, NODES)])
    is_link = rng.random(NODES - 1) < 0.3
    allowed = np.eye(CLASSES, dtype=bool)
    allowed[0] = allowed[:, 0] = True
    cost, keep = rng.random((NODES, CLASSES)), rng.random((NODES, CLASSES)) < 0.8
    keep[:, 0] = True
    labels, bound = integer_programme(cost, edges, is_link, allowed, CHANGE, keep)
    first, second = labels[edges].T
    found = cost[np.arange(NODES), labels].sum() + CHANGE * (first != second)[~is_link].sum()
    best = by_trial(cost, edges, is_link, allowed, keep)
    assert found == pytest.approx(best)
    assert bound == pytest.approx(best, abs=1e-6)


def test_no_labels_where_two_that_may_not_meet_are_forced():
    keep = np.array([[False, True, False], [False, False, True]])
    allowed = np.eye(CLASSES, dtype=bool)
    allowed[0] = allowed[:, 0] = True
    found = integer_programme(np.zeros((2, 3)), np.array([[0, 1]]), np.zeros(1, int), allowed, CHANGE, keep)
    assert found == (None, np.inf)
