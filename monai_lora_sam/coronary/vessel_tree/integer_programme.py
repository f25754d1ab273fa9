"""The labelling problem as a mixed-integer linear programme, solved by HiGHS through SciPy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

TIME_LIMIT_S = 5.0  # a stop for hopeless input; real trees take a fraction of a second
INFEASIBLE = 2  # status of HiGHS: no labels satisfy all conditions


def integer_programme(
    cost: np.ndarray,
    edges: np.ndarray,
    is_link: np.ndarray,
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
        is_link: (E,) bool. False: the two ends have equal or allowed labels, and a change costs. True: they are free.
        allowed: (K, K) bool, True on its diagonal.
        change_cost: price of two different labels along an edge that is no link.
        keep: (P, K) bool, the labels to be considered.

    Returns:
        The best labels (P,), or None when none were found, and a lower bound of their cost.
    """
    problem = _Variables(edges, keep)
    demanding = ~is_link
    objective = np.zeros(problem.count)
    objective[problem.has[keep]] = cost[keep]
    objective[problem.shares[demanding][problem.kept_along[demanding]]] = -change_cost
    integral = np.zeros(problem.count)
    integral[problem.has[keep]] = 1
    rows = [
        *_one_label_each(problem),
        *_shared_only_by_both(problem, edges),
        *_one_run_each(problem),
        *_changes_allowed(problem, edges[demanding], np.flatnonzero(demanding), allowed, keep),
    ]
    result = milp(
        objective,
        integrality=integral,
        bounds=Bounds(0, 1),
        constraints=_constraint(rows, problem.count),
        options={"time_limit": TIME_LIMIT_S, "mip_rel_gap": 0.0},
    )
    bound = -np.inf if result.mip_dual_bound is None else float(result.mip_dual_bound)
    bound += change_cost * float(demanding.sum())
    if result.x is None:
        return None, np.inf if result.status == INFEASIBLE else bound
    return np.where(problem.has >= 0, result.x[problem.has], -1.0).argmax(axis=1), bound


class _Row(NamedTuple):
    """State that a sum of signed variables lies within bounds; a variable -1 does not exist and drops out."""

    variables: np.ndarray
    signs: np.ndarray
    low: float
    high: float


class _Variables:
    """Number the variables; -1 is one that does not exist.

    Attributes:
        has: (P, K) 1 where a node has a label.
        shares: (E, K) 1 where both ends of an edge have a label.
        kept_along: (E, K) bool, where both ends of an edge may have a label.
        count: number of variables.
    """

    def __init__(self, edges: np.ndarray, keep: np.ndarray) -> None:
        first, second = edges.T
        self.kept_along = keep[first] & keep[second]
        self.has = _numbered(keep, 0)
        self.shares = _numbered(self.kept_along, int(keep.sum()))
        self.count = int(keep.sum() + self.kept_along.sum())


def _one_label_each(problem: _Variables) -> Iterator[_Row]:
    for labels in problem.has:
        yield _Row(labels, np.ones(len(labels)), 1.0, 1.0)


def _shared_only_by_both(problem: _Variables, edges: np.ndarray) -> Iterator[_Row]:
    for edge, label in np.argwhere(problem.kept_along):
        for end in edges[edge]:
            variables = np.array([problem.shares[edge, label], problem.has[end, label]])
            yield _Row(variables, np.array([1.0, -1.0]), -np.inf, 0.0)


def _one_run_each(problem: _Variables) -> Iterator[_Row]:
    """On a forest, a label's runs are its nodes less the edges inside it."""
    signs = np.repeat([1.0, -1.0], [len(problem.has), len(problem.shares)])
    for label in range(1, problem.has.shape[1]):
        yield _Row(np.concatenate([problem.has[:, label], problem.shares[:, label]]), signs, -np.inf, 1.0)


def _changes_allowed(
    problem: _Variables, edges: np.ndarray, numbers: np.ndarray, allowed: np.ndarray, keep: np.ndarray
) -> Iterator[_Row]:
    """Along an edge, a node that does not hand its label on meets a change into an allowed one.

    Args:
        problem: the variables.
        edges: (E, 2) the edges that demand it.
        numbers: (E,) their numbers among all edges.
        allowed, keep: as of `integer_programme`.
    """
    different = ~np.eye(len(allowed), dtype=bool)
    has = problem.has
    for edge, ends in zip(numbers, edges, strict=True):
        shares = problem.shares[edge]
        for near, far in (ends, ends[::-1]):
            for label in np.flatnonzero(keep[near] & (~allowed & keep[far]).any(axis=1)):
                others = np.flatnonzero(allowed[label] & different[label])
                variables = np.r_[has[near, label], shares[label], has[far, others], shares[others]]
                signs = np.r_[1.0, -1.0, -np.ones(len(others)), np.ones(len(others))]
                yield _Row(variables, signs, -np.inf, 0.0)


def _constraint(rows: Sequence[_Row], count: int) -> LinearConstraint:
    """Return rows over a number of variables as SciPy's sparse constraint."""
    number = np.repeat(np.arange(len(rows)), [len(row.variables) for row in rows])
    column = np.concatenate([row.variables for row in rows])
    sign = np.concatenate([row.signs for row in rows])
    exists = column >= 0
    matrix = coo_array((sign[exists], (number[exists], column[exists])), shape=(len(rows), count)).tocsr()
    return LinearConstraint(matrix, [row.low for row in rows], [row.high for row in rows])


def _numbered(which: np.ndarray, first: int) -> np.ndarray:
    """Number the True places of a table from a first number on; -1 elsewhere."""
    numbers = np.full(which.shape, -1)
    numbers[which] = first + np.arange(which.sum())
    return numbers
