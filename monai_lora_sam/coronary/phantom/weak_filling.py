"""Contrast that reaches parts of the tree weakly or late."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.phantom.motion import ostium_distances
from monai_lora_sam.coronary.phantom.tree import CoronaryTree

#: Chance of each side branch to be filled weakly, and of each vessel to fade in its distal third.
_WEAK_BRANCH, _WEAK_END = 0.35, 0.35
#: Chance that the front of the contrast has not reached the ends of the tree.
_LATE = 0.3
#: Least concentration that is left, so that every vessel of the truth can be seen.
_LEAST = 0.2


def draw_weak_filling(rng: np.random.Generator, tree: CoronaryTree) -> list[np.ndarray]:
    """Draw how much of its usual contrast each place of a tree gets, branch by branch.

    Side branches get 25 to 75 % and distal thirds fade to 20 to 60 %, which the branches that leave there inherit. In
    some trees the front of the contrast stands short of the ends.

    Args:
        rng: source of all randomness.
        tree: whose contrast is lowered.

    Returns:
        A factor (N,) for each branch, 0.2 to 1, which never rises along a vessel.
    """
    factors: list[np.ndarray] = []
    for branch in tree.branches:
        start = 1.0
        if branch.parent is not None:
            start = float(factors[branch.parent[0]][branch.parent[1]])
            if rng.random() < _WEAK_BRANCH:
                start *= rng.uniform(0.25, 0.75)
        along = branch.arc_mm / max(float(branch.arc_mm[-1]), 1e-6)
        end = rng.uniform(0.2, 0.6) if rng.random() < _WEAK_END else 1.0
        factors.append(start * (1 - (1 - end) * _step((along - 0.6) / 0.25)))
    if rng.random() < _LATE:
        distances = ostium_distances(tree)
        front, width = rng.uniform(0.45, 0.85) * max(d[-1] for d in distances), rng.uniform(15, 50)
        late = [1 - _step((distance - front) / width) for distance in distances]
        factors = [factor * share for factor, share in zip(factors, late, strict=True)]
    return [np.maximum(factor, _LEAST) for factor in factors]


def _step(x: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    share = np.clip(x, 0.0, 1.0)
    return share**2 * (3 - 2 * share)
