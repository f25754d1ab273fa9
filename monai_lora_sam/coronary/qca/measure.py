"""Quantitative coronary analysis of one picture: the entry to this room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.qca.lesion import Lesion, lesions_of
from monai_lora_sam.coronary.qca.lumen import LumenFinder, lumen_diameters
from monai_lora_sam.coronary.qca.paths import VesselPath, beside_others, vessel_paths
from monai_lora_sam.coronary.qca.profile import VesselProfile, measure_path
from monai_lora_sam.coronary.qca.reference import ReferenceLines, believable, without_overlaps
from monai_lora_sam.coronary.qca.result import QcaResult
from monai_lora_sam.coronary.qca.segment import Segment, segments_of
from monai_lora_sam.coronary.qca.stenosis import Stenosis, find_stenoses
from monai_lora_sam.coronary.qca.tips import Tip, facing_ends, tips_of, values_at
from monai_lora_sam.coronary.qca.vessels import oriented, split_at_forks, split_at_steps
from monai_lora_sam.coronary.vessel_tree import Branch, VesselTree, build_vessel_tree, without_small_holes

THRESHOLD = 0.5  # probability from which a pixel is vessel
HOLE_PX = 5.0  # size; smaller holes in the mask are filled, as for the tree
ROUNDS = 3  # of fitting the reference and leaving out the stenoses found by it
BORDER_PX = 3.0  # distance to the picture's border; a nearer end faces no other end


def measure(
    probability: np.ndarray,
    *,
    image: np.ndarray | None = None,
    segments: np.ndarray | None = None,
    pixel_spacing_mm: float | None = None,
    tree: VesselTree | None = None,
    find_lumen: LumenFinder = lumen_diameters,
) -> QcaResult:
    """Measure the vessels of a picture: diameters along each, reference lines, segments and lesions.

    The tree of the mask (probability >= 0.5) is joined to vessels through bifurcations, crossings and gaps;
    the lumen is found on lines across, to a fraction of a pixel, in the map or, where it is given, in the
    angiogram; a reference line is fitted to each vessel, and a stenosis is a stretch in which the diameter falls
    below it and comes back. `docs/qca.md` has the definitions and their sources.

    Args:
        probability: (H, W), vessel probability 0..1, or a bool mask.
        image: (H, W), the angiogram, contrast agent dark, in any linear scale: a network's map says where the
            vessels are, the angiogram how wide. Leave it out where the map is exact, as a corrected mask is.
        segments: (H, W) integer, ARCADE category ids, 0 where unknown: names the results, and says which
            branches are one vessel and where it begins.
        pixel_spacing_mm: millimetres per pixel at the patient; without it there are only pixels.
        tree: that of `probability >= 0.5`, where it has been built already.
        find_lumen: reads the diameters in the image; by default the shadow of a round lumen is fitted to it.

    Raises:
        ValueError: the map is not two-dimensional, holds NaN or values outside 0..1; the image or the segment
            map has another shape or other values; the spacing is not positive.

    Example:
        >>> result = measure(probability, pixel_spacing_mm=0.3)
        >>> [(lesion.percent_diameter_stenosis, lesion.length_px) for lesion in result.lesions]
    """
    probability = _without_holes(_checked(probability, image, segments, pixel_spacing_mm))
    mask = probability >= THRESHOLD
    tree = tree or build_vessel_tree(mask)
    radius = ndimage.distance_transform_edt(mask)
    paths = _paths(tree, radius, probability, segments)
    lines = [
        measure_path(path, probability, beside, image, find_lumen)
        for path, beside in zip(paths, _beside(tree, paths, radius), strict=True)
    ]
    profiles, found = _with_stenoses(_vessels(lines, segments))
    lesions: list[Lesion] = []
    parts: list[Segment] = []
    for profile, stenoses in zip(profiles, found, strict=True):
        here = lesions_of(profile, stenoses, len(lesions) + 1)
        lesions += here
        parts += segments_of(profile, here)
    return QcaResult(tree.shape, pixel_spacing_mm, tuple(profiles), tuple(parts), tuple(lesions))


def _without_holes(probability: np.ndarray) -> np.ndarray:
    """Return the map with small holes of its mask filled."""
    mask = probability >= THRESHOLD
    return np.where(without_small_holes(mask, HOLE_PX) & ~mask, 1.0, probability)


def _paths(
    tree: VesselTree, radius: np.ndarray, probability: np.ndarray, segments: np.ndarray | None
) -> list[VesselPath]:
    """Join the branches of a tree to vessels, over bifurcations, crossings and gaps."""
    labels = [_label(branch, segments) for branch in tree.branches]
    tips = tips_of(tree, radius, labels)
    bridges = facing_ends((tip for tip in tips.values() if _is_free(tree, tip)), probability)
    return vessel_paths(tree, radius, labels, bridges)


def _beside(tree: VesselTree, paths: list[VesselPath], radius: np.ndarray) -> list[np.ndarray]:
    """Say for each path which of its points (N,) lie beside a bifurcation or another vessel."""
    part_of = {index for path in paths for index, _ in path.branches}
    inner = [branch.centreline_rc for branch in tree.branches if branch.id not in part_of]
    return beside_others(paths, inner, radius)


def _vessels(lines: list[VesselProfile], segments: np.ndarray | None) -> list[VesselProfile]:
    """Part measured lines that join two vessels; number the vessels and let each run from its proximal end."""
    profiles: list[VesselProfile] = []
    for line in lines:
        for part in split_at_steps(line):
            if segments is not None:
                part = replace(part, segment_ids=values_at(part.points_rc, segments).astype(np.uint8))
            for profile in split_at_forks(part):
                profiles.append(replace(profile, vessel_id=len(profiles) + 1))
    return [oriented(profile, profiles) for profile in profiles]


def _with_stenoses(
    profiles: list[VesselProfile],
) -> tuple[list[VesselProfile], list[list[Stenosis]]]:
    """Fit the reference lines and find the stenoses, in turns; return the vessels and the stenoses of each."""
    lines = ReferenceLines(profiles)
    profiles = [without_overlaps(profile) for profile in lines.fit(profiles)]
    found: list[list[Stenosis]] = []
    for left in reversed(range(ROUNDS)):
        profiles = lines.fit(profiles, found)
        found = [find_stenoses(profile, fit_borders=not left) for profile in profiles]
    for number, (profile, stenoses) in enumerate(zip(profiles, found, strict=True)):
        profiles[number], found[number] = believable(profile, stenoses)
    return profiles, found


def _checked(
    probability: np.ndarray,
    image: np.ndarray | None,
    segments: np.ndarray | None,
    pixel_spacing_mm: float | None,
) -> np.ndarray:
    if np.ndim(probability) != 2 or 0 in np.shape(probability):
        raise ValueError(
            f"expected a probability map or mask of shape (height, width), found {np.shape(probability)}"
        )
    probability = np.asarray(probability, dtype=np.float32)
    low, high = probability.min(), probability.max()
    if not (low >= 0 and high <= 1):  # also false for NaN
        raise ValueError(f"expected probabilities within 0..1, found {low} to {high}")
    if pixel_spacing_mm is not None and not (np.isfinite(pixel_spacing_mm) and pixel_spacing_mm > 0):
        raise ValueError(f"expected a pixel spacing above 0 mm, found {pixel_spacing_mm}")
    if image is not None and (np.shape(image) != probability.shape or not np.isfinite(image).all()):
        raise ValueError(
            f"expected a finite image in the shape {probability.shape}, found {np.shape(image)}"
            + ("" if np.isfinite(image).all() else " with NaN")
        )
    if segments is not None:
        if segments.shape != probability.shape:
            raise ValueError(
                f"expected the segment map in the shape {probability.shape}, found {segments.shape}"
            )
        largest = len(ARCADE_CLASS_NAMES) - 1
        if not np.issubdtype(segments.dtype, np.integer) or segments.min() < 0 or segments.max() > largest:
            raise ValueError(f"expected ARCADE category ids 0..{largest} as integers in the segment map")
    return probability


def _label(branch: Branch, segments: np.ndarray | None) -> int:
    """Return the id that most of a branch's labelled points have."""
    if segments is None:
        return 0
    counts = np.bincount(values_at(branch.centreline_rc, segments), minlength=2)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def _is_free(tree: VesselTree, tip: Tip) -> bool:
    branch = tree.branches[tip.branch]
    node = branch.start if tip.at_start else branch.end
    row, column = tip.position
    margin = BORDER_PX + tip.radius_px
    inside = margin <= row <= tree.shape[0] - 1 - margin and margin <= column <= tree.shape[1] - 1 - margin
    return node is not None and node.kind == "end" and inside
