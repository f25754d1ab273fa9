"""Look up the true diameters of a phantom along a measured line."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from monai_lora_sam.coronary.polyline import Polyline

STEP_PX = 0.5  # distance in px between points of the true centrelines
NEAR_PX = 2.0  # least distance in px from the true centreline within which a line belongs to it
ALONG_PX = (
    1.5  # distance in px along the vessel from the nearest true point, beyond which the vessel has ended
)
SKEWED = 0.5  # largest sine of the angle between a line and the true centreline


class TrueDiameters:
    """Hold the true diameters along the named segments of a phantom.

    Args:
        truth: the content of the phantom's JSON file.

    Raises:
        ValueError: if no centreline is long enough.

    Example:
        >>> points = [[float(x), 50.0] for x in range(80)]
        >>> line = {"points_xy_px": points, "diameter_px": [8.0] * 80, "diameter_mm": [2.4] * 80}
        >>> truth = TrueDiameters({"centrelines": [{**line, "reference_diameter_mm": [2.4] * 80}]})
        >>> truth.along(np.array([[51.0, 40.0]]), np.array([[1.0, 0.0]]))[0]
        array([8.], dtype=float32)
    """

    def __init__(self, truth: dict[str, Any]) -> None:
        parts = [part for line in truth["centrelines"] if (part := _resampled(line)) is not None]
        if not parts:
            raise ValueError(f"expected a centreline of {4 * STEP_PX} px or more, found none")
        self.points, self.tangents, self.diameter_px, self.relative = (
            np.concatenate(arrays) for arrays in zip(*parts, strict=True)
        )
        self.tree = cKDTree(self.points)

    def along(self, line: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return diameter in px, offset in px and diameter over reference at each point; NaN where unknown.

        Args:
            line: (N, 2) points, row and column in px.
            normals: (N, 2) unit vectors across the line.
        """
        nearest = self.tree.query(line)[1]
        beside = self.points[nearest] - line
        offset = (beside * normals).sum(axis=1)
        further = np.abs(beside[:, 0] * normals[:, 1] - beside[:, 1] * normals[:, 0])
        known = np.abs(offset) < np.maximum(self.diameter_px[nearest] / 2, NEAR_PX)
        known &= (further < ALONG_PX) & (np.abs((self.tangents[nearest] * normals).sum(axis=1)) < SKEWED)
        found = (self.diameter_px[nearest], offset, self.relative[nearest])
        diameter, offset, relative = (np.where(known, value, np.nan).astype(np.float32) for value in found)
        return diameter, offset, relative


def _resampled(line: dict[str, Any]) -> tuple[np.ndarray, ...] | None:
    midline = Polyline(np.array(line["points_xy_px"])[:, ::-1])
    arc = midline.arc_length
    if midline.length < 4 * STEP_PX:
        return None
    wanted = np.arange(0.0, midline.length, STEP_PX)
    fine = Polyline(midline.at(wanted))
    relative = np.array(line["diameter_mm"]) / np.array(line["reference_diameter_mm"])
    return (
        fine.points,
        fine.tangents,
        np.interp(wanted, arc, line["diameter_px"]),
        np.interp(wanted, arc, relative),
    )
