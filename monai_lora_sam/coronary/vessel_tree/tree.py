"""Parts of a vessel tree: nodes and branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Node:
    """Hold a bifurcation or a free end.

    `radius_px` is the radius of the largest disc that fits into the mask around `position_rc`, or at a free
    end, where a skeleton may run into a corner of the mask, of the largest disc just before it.
    """

    id: int
    kind: Literal["bifurcation", "end"]
    position_rc: tuple[float, float]
    radius_px: float


@dataclass(frozen=True, eq=False)
class Branch:
    """Hold one vessel piece between two nodes.

    `centreline_rc` is (N, 2), row and column, equally spaced by about half a pixel, running from `start` to
    `end`. A closed loop that meets no other branch has neither node, and its last point equals its first.
    """

    id: int
    centreline_rc: np.ndarray
    start: Node | None
    end: Node | None
    length_px: float

    @property
    def is_closed(self) -> bool:
        return self.start is None


@dataclass(frozen=True, eq=False)
class PrunedBranch:
    """Hold a piece of the skeleton that was left out of the tree, and why."""

    pixels_rc: np.ndarray
    length_px: float
    reason: str


@dataclass(frozen=True, eq=False)
class VesselTree:
    """Hold the branches and nodes of one mask; branches are numbered from the longest to the shortest."""

    shape: tuple[int, int]
    area_px: int
    components: int
    nodes: tuple[Node, ...]
    branches: tuple[Branch, ...]
    pruned: tuple[PrunedBranch, ...]

    @property
    def centreline_length_px(self) -> float:
        return float(sum(branch.length_px for branch in self.branches))
