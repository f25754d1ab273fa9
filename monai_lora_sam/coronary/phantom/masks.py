"""The truth's masks: the projected lumen, and which segment each of its pixels belongs to."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.anatomy import arcade_id
from monai_lora_sam.coronary.phantom.scene import ProjectedBranch


def project_masks(
    branches: list[ProjectedBranch], seen: np.ndarray, minimum_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (H, W) bool vessel mask and the (H, W) uint8 segment mask of ARCADE category ids.

    A pixel is vessel where its centre lies in the projected lumen of a named segment, or of an unnamed
    branch of at least `minimum_mm` at its origin, as far as the collimator lets the beam through. Where named
    segments overlap, the vessel nearer to the detector gives the label when one passes clear of the other;
    where they join, the one whose centreline is nearer in radii does.

    Args:
        branches: the projected tree.
        seen: (H, W) bool, where the beam reaches the detector.
        minimum_mm: diameter from which branches without a name count.
    """
    shape = seen.shape
    vessels = np.zeros(shape, bool)
    labels = np.zeros(shape, np.uint8)
    closeness = np.full(shape, np.inf)
    depth = np.zeros(shape)
    radius = np.zeros(shape)
    for projected in branches:
        drawn = projected.drawn
        if drawn is None:
            continue
        named = projected.branch.labelled
        if not named and projected.branch.reference_diameter_mm[0] < minimum_mm:
            continue
        box = drawn.rows, drawn.columns
        vessels[box] |= drawn.inside
        if not named:
            continue
        ids = np.zeros(len(projected.depth_mm), np.uint8)
        for segment, start, stop in projected.branch.segments:
            ids[start:stop] = 0 if segment is None else arcade_id(segment)
        mine = projected.depth_mm[drawn.nearest]
        wide = 0.5 * projected.branch.diameter_mm[drawn.nearest]
        towards = mine - depth[box]
        clear = np.abs(towards) > wide + radius[box]
        wins = drawn.inside & (
            (labels[box] == 0) | np.where(clear, towards > 0, drawn.closeness < closeness[box])
        )
        labels[box][wins] = ids[drawn.nearest][wins]
        closeness[box][wins] = drawn.closeness[wins]
        depth[box][wins] = mine[wins]
        radius[box][wins] = wide[wins]
    return vessels & seen, np.where(seen, labels, 0).astype(np.uint8)
