"""Course of a phantom's lesion in the picture, and the vessels beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from monai_lora_sam.coronary.phantom.dataset import CENTRELINE_STRIDE
from monai_lora_sam.coronary.phantom.heart import SAMPLE_STEP_MM
from monai_lora_sam.coronary.polyline import Polyline

BESIDE_PX = (1.5, 2.5, 3.5)  # beyond the walls, where another vessel would show
MARGIN_PX = 3.0  # from the picture's border
GRID_PX = 2.0  # a thinner lumen may lie between the pixels of the mask


@dataclass(frozen=True, eq=False)
class LesionLine:
    """Hold a lesion from its proximal to its distal border as the picture has it.

    Attributes:
        points_rc: (N, 2) centreline in pixels.
        diameter_px: (N,) lumen diameter.
        length_px: along the centreline in the picture.
        foreshortening: length in the picture over true length; 1 where the vessel runs across the rays.
    """

    points_rc: np.ndarray
    diameter_px: np.ndarray
    length_px: float
    foreshortening: float


def lesion_line(truth: dict[str, Any], lesion: dict[str, Any]) -> LesionLine | None:
    """Return the course of one of a truth's lesions; None where it cannot be told.

    A lesion may reach over the borders of its segment: centrelines that share an end are joined.

    Args:
        truth: of one phantom, as :func:`truth_json` gives it.
        lesion: one of its `lesions`.
    """
    whole = _joined(truth["centrelines"], np.array(lesion["centre_xy_px"]))
    points = whole["points_xy_px"][:, ::-1]
    count = len(points)
    course = Polyline(points)
    # The narrowing is symmetric about its middle, which the taper keeps apart from the narrowest place.
    narrowing = 1 - whole["diameter_mm"] / whole["reference_diameter_mm"]
    nearest = int(np.linalg.norm(points - np.array(lesion["centre_xy_px"])[::-1], axis=1).argmin())
    half = lesion["length_mm"] / 2 / (CENTRELINE_STRIDE * SAMPLE_STEP_MM)
    at = np.arange(count)
    weight = narrowing * (np.abs(at - nearest) <= half + 1)
    if weight.sum() <= 0:
        return None
    middle = float((at * weight).sum() / weight.sum())
    if middle - half < 0 or middle + half > count - 1:
        return None
    begin, end = np.interp([middle - half, middle + half], at, course.arc_length).tolist()
    fine = np.linspace(begin, end, max(int(2 * (end - begin)), 4))
    pixel_mm = lesion["minimum_lumen_diameter_mm"] / lesion["minimum_lumen_diameter_px"]
    return LesionLine(
        course.at(fine),
        np.interp(fine, course.arc_length, whole["diameter_px"]),
        end - begin,
        (end - begin) * pixel_mm / lesion["length_mm"],
    )


def _joined(centrelines: list[dict[str, Any]], centre_xy: np.ndarray) -> dict[str, np.ndarray]:
    names = ("points_xy_px", "diameter_mm", "reference_diameter_mm", "diameter_px")
    lines = [{name: np.array(line[name]) for name in names} for line in centrelines]
    far = [float(np.linalg.norm(line["points_xy_px"] - centre_xy, axis=1).min()) for line in lines]
    whole = lines.pop(int(np.argmin(far)))
    for _ in range(2):
        for other in lines:
            first, last = whole["points_xy_px"][0], whole["points_xy_px"][-1]
            if np.allclose(other["points_xy_px"][0], last, atol=1e-3):
                whole = {name: np.concatenate([whole[name], other[name][1:]]) for name in names}
            elif np.allclose(other["points_xy_px"][-1], first, atol=1e-3):
                whole = {name: np.concatenate([other[name][:-1], whole[name]]) for name in names}
    return whole


def share_beside(mask: np.ndarray, line: LesionLine) -> float | None:
    """Return the share of a lesion beside which another vessel lies; None where the picture does not show it all.

    Args:
        mask: (H, W) bool, the true vessels.
        line: the lesion.
    """
    points = line.points_rc
    if (points < MARGIN_PX).any() or (points > np.array(mask.shape) - 1 - MARGIN_PX).any():
        return None
    shown = mask[tuple(np.rint(points).astype(int).T)]
    if not (shown[0] and shown[-1] and shown[line.diameter_px > GRID_PX].all()):
        return None  # behind the collimator
    across = Polyline(points).normals
    hit = np.zeros(len(points), bool)
    for side in (-1.0, 1.0):
        off = side * (line.diameter_px[:, None] / 2 + np.array(BESIDE_PX))
        places = points[:, None, :] + off[..., None] * across[:, None, :]
        hit |= np.any(map_coordinates(mask.astype(np.uint8), places.transpose(2, 0, 1), order=0) > 0, axis=1)
    return float(hit.mean())
