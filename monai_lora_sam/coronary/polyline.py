"""A line of points: the one way in which centrelines, walls and strips measure along themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Polyline"]


@dataclass(frozen=True, eq=False)
class Polyline:
    """Hold points in order and measure along them.

    Attributes:
        points: (N, 2) or (N, 3), N at least 1; in pixels (row, column) or in mm, which the owner's name says.
        closed: the last point is followed by the first one; only :attr:`tangents` differ.

    Example:
        >>> line = Polyline(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 10.0]]))
        >>> line.length, line.at(5.0).tolist()
        (11.0, [3.0, 4.0])
    """

    points: np.ndarray
    closed: bool = False

    @cached_property
    def arc_length(self) -> np.ndarray:
        """Return (N,): the distance along the line from its first point."""
        return np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1))]

    @property
    def length(self) -> float:
        """Return the distance along the line from its first point to its last."""
        return float(self.arc_length[-1])

    def at(self, arc_length: float | np.ndarray) -> np.ndarray:
        """Return the points at distances along the line, linearly between its own and clipped to its ends."""
        axes = range(self.points.shape[1])
        return np.stack(
            [np.interp(arc_length, self.arc_length, self.points[:, axis]) for axis in axes], axis=-1
        )

    def resample(self, step: float) -> Polyline:
        """Return the line with equally spaced points, as near to ``step`` apart as its length allows.

        Both ends stay; there are at least two points.
        """
        count = max(round(self.length / step), 1) + 1
        return Polyline(self.at(np.linspace(0.0, self.length, count)), self.closed)

    @cached_property
    def tangents(self) -> np.ndarray:
        """Return the unit direction at each point, from differences of its neighbours."""
        if len(self.points) < 2:
            return np.zeros_like(self.points, dtype=float)
        if self.closed:
            ring = np.concatenate([self.points[-1:], self.points, self.points[:1]])
            tangents = ring[2:] - ring[:-2]
        else:
            tangents = np.gradient(self.points, axis=0)
        return tangents / np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-12)

    @property
    def normals(self) -> np.ndarray:
        """Return the unit direction across the line at each point of a line in a plane: (N, 2)."""
        tangents = self.tangents
        return np.column_stack([tangents[:, 1], -tangents[:, 0]])
