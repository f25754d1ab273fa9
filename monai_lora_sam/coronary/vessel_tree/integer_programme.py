"""The labelling problem as a mixed-integer linear programme, solved by HiGHS through SciPy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

TIME_LIMIT_S = 5.0  # a stop for hopeless input; real trees take a fraction of a second


def integer_programme(
    cost: np.ndarray,
    edges: np.ndarray,
    kinds: np.ndarray,
    allowed: np.ndarray,
    change_cost: float,
    keep: np.ndarray,
) -> tuple[np.ndarray | None, float]:
    """Minimise the cost of labels and of changes along edges, where each label but 0 is one connected run.

    Variables are 1 where a node has a label and where both ends of an edge have it. Only labels that are kept at
    a node get a variable.

    Args:
        cost: (P, K) of each label at each node.
        edges: (E, 2) a forest.
        kinds: (E,) 0: the two ends have equal or allowed labels, and a change costs; 1: they are free.
        allowed: (K, K) bool, True on its diagonal.
        change_cost: price of two different labels along an edge of kind 0.
        keep: (P, K) bool, the labels to be considered.

    Returns:
        The best labels (P,), or None when none were found, and a lower bound of their cost.
    """
    count, classes = cost.shape
    first, second = edges.T
    inside = keep[first] & keep[second]
    # A variable that does not exist has the number -1 and drops out of every row.
    node = _numbered(keep, 0)
    both = _numbered(inside, int(keep.sum()))
    size = int(keep.sum() + inside.sum())
    objective, integral = np.zeros(size), np.zeros(size)
    objective[node[keep]] = cost[keep]
    objective[both[kinds == 0][inside[kinds == 0]]] = -change_cost
    integral[node[keep]] = 1

    rows = [(node[index], np.ones(classes), 1.0, 1.0) for index in range(count)]
    for edge, label in np.argwhere(inside):
        for end in edges[edge]:
            rows.append(
                (np.array([both[edge, label], node[end, label]]), np.array([1.0, -1.0]), -np.inf, 0.0)
            )
    for label in range(1, classes):
        columns = np.concatenate([node[:, label], both[:, label]])
        signs = np.repeat([1.0, -1.0], [count, len(edges)])
        rows.append((columns, signs, -np.inf, 1.0))
    different = ~np.eye(classes, dtype=bool)
    for edge in np.flatnonzero(kinds == 0):
        for near, far in (edges[edge], edges[edge][::-1]):
            for label in np.flatnonzero(keep[near] & (~allowed & keep[far]).any(axis=1)):
                # A node that does not hand its label on must meet a change into an allowed one.
                others = np.flatnonzero(allowed[label] & different[label])
                columns = np.r_[node[near, label], both[edge, label], node[far, others], both[edge, others]]
                signs = np.r_[1.0, -1.0, -np.ones(len(others)), np.ones(len(others))]
                rows.append((columns, signs, -np.inf, 0.0))
    lengths = [len(columns) for columns, *_ in rows]
    row = np.repeat(np.arange(len(rows)), lengths)
    column = np.concatenate([columns for columns, *_ in rows])
    sign = np.concatenate([signs for _, signs, *_ in rows])
    there = column >= 0
    matrix = coo_array((sign[there], (row[there], column[there])), shape=(len(rows), size)).tocsr()
    result = milp(
        objective,
        integrality=integral,
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, [low for *_, low, _ in rows], [high for *_, high in rows]),
        options={"time_limit": TIME_LIMIT_S, "mip_rel_gap": 0.0},
    )
    bound = -np.inf if result.mip_dual_bound is None else float(result.mip_dual_bound)
    bound += change_cost * float((kinds == 0).sum())
    if result.x is None:
        return None, np.inf if result.status == 2 else bound
    return np.where(node >= 0, result.x[node], -1.0).argmax(axis=1), bound


def _numbered(which: np.ndarray, first: int) -> np.ndarray:
    numbers = np.full(which.shape, -1)
    numbers[which] = first + np.arange(which.sum())
    return numbers
