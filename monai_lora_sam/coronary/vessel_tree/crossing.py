"""The one rule by which branches that meet are two vessels that cross."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

#: Largest turn, in degrees, of each of the two vessels that cross at a node of the tree: half of a right angle, beyond
#: which a branch leaves the vessel more than it goes on.
CROSSING_DEGREES = 45.0

Pair = tuple[int, int]


def turn_at(first_outward: np.ndarray, second_outward: np.ndarray) -> float:
    """Return the angle in radians by which a vessel turns that comes in by one branch and leaves by another.

    Args:
        first_outward, second_outward: (2,) unit vectors in which the branches leave their common node.

    Example:
        >>> turn_at(np.array([0.0, 1.0]), np.array([0.0, -1.0]))
        0.0
    """
    return float(np.arccos(np.clip(-first_outward @ second_outward, -1.0, 1.0)))


def crossing_pairs(
    outward: Sequence[np.ndarray], misfit: Callable[[int, int], float] = lambda first, second: 0.0
) -> tuple[Pair, Pair] | None:
    """Pair branches that meet at a node to two vessels that both turn by `CROSSING_DEGREES` at most.

    Of several ways to pair them, the one with the smallest sum of both turns, in radians, and misfits.

    Args:
        outward: (2,) unit vector of each branch, away from the node.
        misfit: of a pair that would be one vessel, in radians of turn; infinite where it cannot be one.

    Returns:
        The two pairs as indices, the vessel that runs straighter first; None where no two vessels cross.

    Example:
        >>> up, right = np.array([-1.0, 0.0]), np.array([0.0, 1.0])
        >>> crossing_pairs([up, right, -up, -right])
        ((0, 2), (1, 3))
    """
    largest = np.radians(CROSSING_DEGREES)
    turns = {
        pair: turn_at(*(outward[index] for index in pair)) for pair in combinations(range(len(outward)), 2)
    }
    straight = [pair for pair, turn in turns.items() if turn <= largest and misfit(*pair) < np.inf]
    ways = [ways for ways in combinations(straight, 2) if not set(ways[0]) & set(ways[1])]
    if not ways:
        return None
    best = min(ways, key=lambda both: sum(turns[pair] + misfit(*pair) for pair in both))
    over, under = sorted(best, key=lambda pair: turns[pair])
    return over, under
