"""Dynamic programming over forests against all labels, tried one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree.forest import Forest

EDGES = np.array([[0, 1], [1, 2], [1, 3], [4, 5]])
TABLES = np.array([0, 1, 0, 0])


@pytest.mark.parametrize("seed", range(4))
def test_cheapest_labels_and_marginals(seed):
    rng = np.random.default_rng(seed)
    cost, pair_cost = rng.random((6, 3)), rng.random((2, 3, 3))
    pair_cost = pair_cost + pair_cost.transpose(0, 2, 1)
    totals = {
        labels: cost[np.arange(6), list(labels)].sum()
        + sum(pair_cost[table, labels[u], labels[v]] for (u, v), table in zip(EDGES, TABLES, strict=True))
        for labels in product(range(3), repeat=6)
    }
    forest = Forest(6, EDGES, TABLES)
    labels, total = forest.solve(cost, pair_cost)
    assert total == pytest.approx(min(totals.values()))
    assert totals[tuple(labels.tolist())] == pytest.approx(total)
    marginals = forest.minimum_marginals(cost, pair_cost)
    for node, label in product(range(6), range(3)):
        least = min(value for labels, value in totals.items() if labels[node] == label)
        assert marginals[node, label] == pytest.approx(least)


def test_a_loop_is_refused():
    with pytest.raises(ValueError, match="without a loop, found 3 edges over 3 nodes"):
        Forest(3, np.array([[0, 1], [1, 2], [2, 0]]), np.zeros(3, int))
