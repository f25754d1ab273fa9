"""Put the tree in front of the C-arm: project its branches and paint the angiogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.phantom import background
from monai_lora_sam.coronary.phantom.detector import Display, expose
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.phantom.rendering import (
    ProjectedVessel,
    draw_vessel,
    merge_at_origin,
    ray_stretch,
)
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree

#: Diagnostic and guiding catheters; a French is a third of a millimetre.
CATHETER_FRENCH = (5, 6, 7)


@dataclass
class ProjectedBranch:
    """A branch in the picture: (N, 2) centreline, (N,) depth from the source and radius, and its drawing."""

    branch: Branch
    points_rc_px: np.ndarray
    depth_mm: np.ndarray
    radius_px: np.ndarray
    drawn: ProjectedVessel | None


def project_tree(
    rng: np.random.Generator, tree: CoronaryTree, arm: CArm
) -> tuple[list[ProjectedBranch], np.ndarray]:
    """Project all branches after moving the table so that the tree lies about the middle of the picture.

    Returns:
        The projected branches and the (3,) offset in mm from the heart's own coordinates to the isocentre's.
    """
    named = np.concatenate([branch.points_mm for branch in tree.branches if branch.labelled])
    columns, rows, _ = arm.axes
    pixels, _ = arm.project(named)
    middle = 0.5 * (pixels.min(axis=0) + pixels.max(axis=0))
    wanted = (np.array(arm.shape) - 1) / 2 + rng.normal(0, 0.06, 2) * np.array(arm.shape)
    shift = (wanted - middle) * arm.pixel_spacing_mm
    offset = shift[0] * rows + shift[1] * columns
    return [project_branch(branch, arm, offset) for branch in tree.branches], offset


def project_branch(branch: Branch, arm: CArm, offset_mm: np.ndarray) -> ProjectedBranch:
    """Project one branch, moved by an offset, and draw it."""
    points = branch.points_mm + offset_mm
    pixels, depth = arm.project(points)
    scale = arm.pixels_per_mm(depth)
    source = -arm.source_patient_mm * arm.axes[2]
    radius = 0.5 * branch.diameter_mm * scale
    # Every other sample is enough to draw a curve sampled at 0.4 mm, but not a short stenosis: it would be drawn
    # wider than its truth. The drawing's indices are put back.
    narrowed = np.flatnonzero(branch.diameter_mm < branch.reference_diameter_mm)
    keep = np.unique(np.concatenate([np.arange(0, len(points), 2), narrowed, [len(points) - 1]]))
    drawn = draw_vessel(
        pixels[keep], radius[keep], 1 / scale[keep], ray_stretch(points, source)[keep], arm.shape
    )
    if drawn is not None:
        drawn.nearest = keep[drawn.nearest]
    return ProjectedBranch(branch, pixels, depth, radius, drawn)


def vessel_attenuation(branches: list[ProjectedBranch], shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) the contrast on each ray: length in mm · relative concentration, summed over vessels."""
    total = np.zeros(shape, np.float32)
    fields: dict[int, np.ndarray] = {}
    parents = {item.branch.parent[0] for item in branches if item.branch.parent is not None}
    for index, item in enumerate(branches):
        if item.drawn is None:
            continue
        box = item.drawn.rows, item.drawn.columns
        strength = item.drawn.path_mm * item.branch.filling[item.drawn.nearest].astype(np.float32)
        total[box] += strength
        if index not in parents and item.branch.parent is None:
            continue
        full = np.zeros(shape, np.float32)
        full[box] = strength
        if index in parents:
            fields[index] = full
        if item.branch.parent is not None and item.branch.parent[0] in fields:
            parent, sample = item.branch.parent
            origin, radius = branches[parent].points_rc_px[sample], float(branches[parent].radius_px[sample])
            merge_at_origin(total, fields[parent], full, origin, radius)
    return np.maximum(total, 0.0)


def fill_with_contrast(
    rng: np.random.Generator, tree: CoronaryTree, weakness: Sequence[np.ndarray] | None = None
) -> None:
    """Set the contrast concentration of all branches: fading towards the ends, uneven between branches.

    `weakness` multiplies it, see :func:`monai_lora_sam.coronary.phantom.weak_filling.draw_weak_filling`.
    """
    fade_mm = rng.uniform(120, 900)
    for branch in tree.branches:
        start = 1.0
        if branch.parent is not None:
            start = float(tree.branches[branch.parent[0]].filling[branch.parent[1]])
            start *= float(np.clip(rng.normal(0.97, 0.06), 0.6, 1.05))
        branch.filling = start * np.exp(-branch.arc_mm / fade_mm)
    for branch, factor in zip(tree.branches, weakness or (), strict=weakness is not None):
        branch.filling = branch.filling * factor


def paint_angiogram(
    rng: np.random.Generator,
    tree: CoronaryTree,
    branches: list[ProjectedBranch],
    arm: CArm,
    offset_mm: np.ndarray,
    photons_range: tuple[float, float],
    with_background: bool,
    weakness: Sequence[np.ndarray] | None = None,
    implants: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the angiogram (H, W) uint8 of projected branches, and (H, W) bool where the beam reaches it.

    `weakness` lowers the contrast, see :func:`fill_with_contrast`; `implants` (H, W) is a further attenuation.
    """
    fill_with_contrast(rng, tree, weakness)
    per_mm = rng.uniform(0.055, 0.16)
    contrast = per_mm * vessel_attenuation(branches, arm.shape)
    passed = np.ones(arm.shape, np.float32)
    field = contrast if implants is None else contrast + implants
    if with_background:
        field = field + background.chest(rng, arm, tree.heart, offset_mm)
        field += devices(rng, tree, arm, offset_mm, per_mm)
        passed = background.collimator(rng, arm.shape)
    photons = float(np.exp(rng.uniform(*np.log(photons_range))))
    signal = expose(rng, field, passed, blur_px=rng.uniform(0.4, 1.2), photons=photons)
    return Display.draw(rng).show(signal, passed), passed >= 0.5


def devices(
    rng: np.random.Generator,
    tree: CoronaryTree,
    arm: CArm,
    offset_mm: np.ndarray,
    per_mm: float,
    backflow: float = 1.0,
) -> np.ndarray:
    """Return (H, W) the attenuation of catheter, contrast flowing back into the aorta, wires and clips.

    `backflow` scales the contrast in the aorta, which is there only during the injection.
    """
    total = np.zeros(arm.shape, np.float32)
    outer_mm = float(rng.choice(CATHETER_FRENCH)) / 3.0
    filled = per_mm * rng.uniform(0.5, 1.0)
    path = background.catheter_path(rng, tree.ostium_mm, tree.ostium_direction) + offset_mm
    total += _tube(path, arm, outer_mm, rng.uniform(0.02, 0.07)) + _tube(path, arm, 0.75 * outer_mm, filled)
    if rng.random() < 0.15:
        path = background.descending_path(rng) + offset_mm
        total += _tube(path, arm, outer_mm, rng.uniform(0.04, 0.12))
    if rng.random() < 0.3:
        row_column, _ = arm.project(tree.ostium_mm + offset_mm)
        rows, columns = np.ogrid[: arm.shape[0], : arm.shape[1]]
        size = rng.uniform(5, 14) / arm.pixel_spacing_mm
        puff = np.exp(-(((rows - row_column[0]) / size) ** 2 + ((columns - row_column[1]) / size) ** 2))
        total += backflow * per_mm * rng.uniform(0.5, 3.0) * puff
    if rng.random() < 0.2:
        wire = background.wire_path(rng, arm.shape)
        width = np.full(len(wire), rng.uniform(0.8, 2.5))
        ones = np.ones(len(wire))
        drawn = draw_vessel(wire, width, ones / width, ones, arm.shape)
        if drawn is not None:
            total[drawn.rows, drawn.columns] += rng.uniform(0.03, 0.25) * drawn.path_mm
    if rng.random() < 0.06:
        total += background.clips(rng, arm.shape)
    return gaussian_filter(total, 0.5)


def _tube(points_mm: np.ndarray, arm: CArm, diameter_mm: float, per_mm: float) -> np.ndarray:
    """Return (H, W) the attenuation of a tube of one diameter."""
    total = np.zeros(arm.shape, np.float32)
    pixels, depth = arm.project(points_mm)
    scale = arm.pixels_per_mm(depth)
    source = -arm.source_patient_mm * arm.axes[2]
    drawn = draw_vessel(
        pixels, 0.5 * diameter_mm * scale, 1 / scale, ray_stretch(points_mm, source), arm.shape
    )
    if drawn is not None:
        total[drawn.rows, drawn.columns] = per_mm * drawn.path_mm
    return total
