"""Quantitative coronary analysis of one picture: the entry to this room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.qca.direction import oriented
from monai_lora_sam.coronary.qca.forks import split_at_forks
from monai_lora_sam.coronary.qca.gaps import facing_ends
from monai_lora_sam.coronary.qca.lesion import Lesion, lesions_of
from monai_lora_sam.coronary.qca.lumen import LumenFinder, lumen_diameters
from monai_lora_sam.coronary.qca.overlaps import without_overlaps
from monai_lora_sam.coronary.qca.paths import Tip, tips_of, vessel_paths
from monai_lora_sam.coronary.qca.profile import VesselProfile, beside_others, measure_path
from monai_lora_sam.coronary.qca.references import ReferenceLines, believable
from monai_lora_sam.coronary.qca.result import QcaResult
from monai_lora_sam.coronary.qca.segment import Segment, segments_of
from monai_lora_sam.coronary.qca.stenosis import Stenosis, find_stenoses
from monai_lora_sam.coronary.qca.steps import split_at_steps
from monai_lora_sam.coronary.vessel_tree import Branch, VesselTree, build_vessel_tree, without_small_holes

THRESHOLD = 0.5
HOLE_PX = 5.0  # smaller holes in the mask are filled, as for the tree
ROUNDS = 3  # of fitting the reference and leaving out the stenoses found by it
BORDER_PX = 3.0  # an end that is so near to the picture's border faces no other end


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
    angiogram; a reference line is fitted to each vessel, and what falls below it and comes back is a
    stenosis. `docs/qca.md` has the definitions and their sources.

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
    probability = _checked(probability, image, segments, pixel_spacing_mm)
    mask = probability >= THRESHOLD
    probability = np.where(without_small_holes(mask, HOLE_PX) & ~mask, 1.0, probability)
    mask = probability >= THRESHOLD
    tree = tree or build_vessel_tree(mask)
    radius = ndimage.distance_transform_edt(mask)
    labels = [_label(branch, segments) for branch in tree.branches]
    tips = tips_of(tree, radius, labels)
    bridges = facing_ends((tip for tip in tips.values() if _is_free(tree, tip)), probability)
    paths = vessel_paths(tree, radius, labels, bridges)
    part_of = {index for path in paths for index, _ in path.branches}
    inner = [branch.centreline_rc for branch in tree.branches if branch.id not in part_of]
    flags = beside_others(paths, inner, radius)
    profiles: list[VesselProfile] = []
    for path, beside in zip(paths, flags, strict=True):
        for whole in split_at_steps(measure_path(path, probability, beside, image, find_lumen)):
            if segments is not None:
                whole = replace(whole, segment_ids=_ids_along(whole.points_rc, segments).astype(np.uint8))
            for profile in split_at_forks(whole):
                profiles.append(replace(profile, vessel_id=len(profiles) + 1))
    profiles = [oriented(profile, profiles) for profile in profiles]
    lines = ReferenceLines(profiles)
    profiles = [without_overlaps(profile) for profile in lines.fit(profiles)]
    found: list[list[Stenosis]] = []
    for left in reversed(range(ROUNDS)):
        profiles = lines.fit(profiles, found)
        found = [find_stenoses(profile, fit_borders=not left) for profile in profiles]
    for place, (profile, stenoses) in enumerate(zip(profiles, found, strict=True)):
        profiles[place], found[place] = believable(profile, stenoses)
    lesions: list[Lesion] = []
    parts: list[Segment] = []
    for profile, stenoses in zip(profiles, found, strict=True):
        here = lesions_of(profile, stenoses, len(lesions) + 1)
        lesions += here
        parts += segments_of(profile, here)
    return QcaResult(tree.shape, pixel_spacing_mm, tuple(profiles), tuple(parts), tuple(lesions))


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
    counts = np.bincount(_ids_along(branch.centreline_rc, segments), minlength=2)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def _ids_along(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    rows, columns = np.rint(points).astype(int).T
    return segments[rows.clip(0, segments.shape[0] - 1), columns.clip(0, segments.shape[1] - 1)]


def _is_free(tree: VesselTree, tip: Tip) -> bool:
    branch = tree.branches[tip.branch]
    node = branch.start if tip.at_start else branch.end
    row, column = tip.position
    margin = BORDER_PX + tip.radius_px
    inside = margin <= row <= tree.shape[0] - 1 - margin and margin <= column <= tree.shape[1] - 1 - margin
    return node is not None and node.kind == "end" and inside
