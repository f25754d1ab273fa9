"""Labels under conditions against the enumeration of all labels of small forests."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree.connected_labels import ConnectedLabels
from monai_lora_sam.coronary.vessel_tree.forest import Forest
from monai_lora_sam.coronary.vessel_tree.integer_programme import integer_programme


def problem(seed, nodes=7, classes=4):
    """Draw a random forest with random costs, tables and prices."""
    rng = np.random.default_rng(seed)
    tree = nx.random_labeled_tree(nodes, seed=seed)
    edges = np.array(list(tree.edges))[rng.random(nodes - 1) < 0.9].reshape(-1, 2)
    is_link = rng.random(len(edges)) < 0.15
    allowed = rng.random((classes, classes)) < 0.5
    allowed |= allowed.T
    return rng.normal(0, 2, (nodes, classes)), edges, is_link, allowed, float(rng.choice([0, 0.5, 1.5]))


def enumerated(cost, edges, is_link, allowed, change_cost):
    """Return the least cost over all labels, counted in another way than the package does."""
    best = np.inf
    graph = nx.Graph(edges.tolist())
    graph.add_nodes_from(range(len(cost)))
    for labels in product(range(cost.shape[1]), repeat=len(cost)):
        total = sum(cost[node, label] for node, label in enumerate(labels))
        for (one, other), link in zip(edges.tolist(), is_link, strict=True):
            pair = labels[one], labels[other]
            if not link and pair[0] != pair[1]:
                total += change_cost
                if 0 not in pair and not allowed[pair]:
                    total = np.inf
        if not total < best:
            continue
        for label in set(labels) - {0}:
            runs = nx.number_connected_components(graph.subgraph(np.flatnonzero(np.array(labels) == label)))
            if runs > 1:
                total = np.inf
        best = min(best, total)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_optimum_is_that_of_the_enumeration(seed):
    stated = problem(seed, nodes=6)
    expected = enumerated(*stated)
    labels = ConnectedLabels(*stated)
    found = labels.solve()
    assert found.is_optimal
    assert found.cost == pytest.approx(expected)
    assert labels.total(found.labels) == pytest.approx(expected)
    assert labels.lower_bound() <= expected + 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_the_integer_programme_alone_finds_the_same(seed):
    cost, edges, is_link, allowed, change_cost = problem(seed, nodes=12)
    labels = ConnectedLabels(cost, edges, is_link, allowed, change_cost)
    everything = np.ones(cost.shape, dtype=bool)
    found, bound = integer_programme(cost, edges, is_link, labels.allowed, change_cost, everything)
    assert labels.total(found) == pytest.approx(bound) == pytest.approx(labels.solve().cost)


def test_labels_that_cannot_undercut_the_cutoff_are_none():
    labels = ConnectedLabels(*problem(3))
    optimum = labels.solve().cost
    assert labels.solve_below(optimum) is None
    assert labels.solve_below(optimum - 5.0) is None
    assert labels.solve_below(optimum + 0.1).cost == pytest.approx(optimum)


def test_minimum_marginals_are_those_of_the_enumeration():
    cost, edges, is_link, *_ = problem(5, nodes=5)
    pair_cost = np.random.default_rng(0).normal(size=(2, 4, 4))
    pair_cost += pair_cost.transpose(0, 2, 1)
    expected = np.full(cost.shape, np.inf)
    for labels in product(range(4), repeat=5):
        total = sum(cost[node, label] for node, label in enumerate(labels))
        total += sum(
            pair_cost[int(link), labels[one], labels[other]]
            for (one, other), link in zip(edges.tolist(), is_link, strict=True)
        )
        for node, label in enumerate(labels):
            expected[node, label] = min(expected[node, label], total)
    found = Forest(5, edges, is_link.astype(int)).minimum_marginals(cost, pair_cost)
    np.testing.assert_allclose(found, expected)


def test_bad_problems_are_refused():
    cost, edges, is_link, allowed, change_cost = problem(0, nodes=3)
    edges, is_link = np.array([[0, 1], [1, 2]]), np.zeros(2, dtype=bool)
    for changed, message in (
        ((cost * np.nan, edges, is_link, allowed, change_cost), "expected finite costs"),
        ((cost, edges, is_link, allowed[:2], change_cost), "symmetric table of 4 labels"),
        ((cost, edges, is_link, allowed, -1.0), "expected change_cost >= 0"),
        (
            (cost, np.array([[0, 1], [1, 2], [2, 0]]), np.zeros(3, int), allowed, 1.0),
            "without a loop",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            ConnectedLabels(*changed)
