"""A random coronary tree in three dimensions, with SYNTAX segments and diameters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.heart import Heart
from monai_lora_sam.coronary.polyline import Polyline


@dataclass
class Branch:
    """One vessel from its origin to its end.

    Attributes:
        points_mm: (N, 3) centreline in patient coordinates.
        diameter_mm: (N,) lumen diameter, lesions included.
        reference_diameter_mm: (N,) the same without lesions.
        segments: (segment, start, stop) runs of samples; None is a branch without a SYNTAX name.
        parent: index of the branch it leaves and the sample it leaves at; None for a tree's root.
        filling: (N,) contrast concentration relative to the ostium, 0 to 1.
    """

    points_mm: np.ndarray
    diameter_mm: np.ndarray
    reference_diameter_mm: np.ndarray
    segments: list[tuple[SyntaxSegment | None, int, int]]
    parent: tuple[int, int] | None = None
    filling: np.ndarray = field(default_factory=lambda: np.ones(0))

    @property
    def labelled(self) -> bool:
        """Say whether any part of the branch is a SYNTAX segment."""
        return any(segment is not None for segment, _, _ in self.segments)

    @property
    def arc_mm(self) -> np.ndarray:
        """Return the arc length (N,) from the branch's origin in mm."""
        return Polyline(self.points_mm).arc_length


@dataclass
class CoronaryTree:
    """All branches of one injected artery; a parent always comes before its branches."""

    branches: list[Branch]
    side: str
    dominance: Dominance
    heart: Heart
    ostium_mm: np.ndarray
    ostium_direction: np.ndarray
