"""Quantitative coronary analysis of one picture: the entry to this room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from monai_lora_sam.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.qca.courses import RANK
from monai_lora_sam.qca.forks import split_at_forks
from monai_lora_sam.qca.gaps import facing_ends
from monai_lora_sam.qca.lesion import Lesion, lesions_of
from monai_lora_sam.qca.paths import Tip, tips_of, vessel_paths
from monai_lora_sam.qca.profile import VesselProfile, beside_others, measure_path
from monai_lora_sam.qca.reference import SideBranch, reference_line
from monai_lora_sam.qca.result import QcaResult
from monai_lora_sam.qca.segment import Segment, segments_of
from monai_lora_sam.qca.stenosis import Stenosis, find_stenoses
from monai_lora_sam.qca.steps import SIDE, split_at_steps
from monai_lora_sam.vessel_tree import Branch, VesselTree, build_vessel_tree
from monai_lora_sam.vessel_tree.build import without_small_holes

THRESHOLD = 0.5
HOLE_PX = 5.0  # smaller holes in the mask are filled, as for the tree
ROUNDS = 3  # of fitting the reference and leaving out the stenoses found by it
FLANK = (
    0.15  # of a stenosis' length is left out besides on either side, lest its flanks draw the reference down
)
MOSTLY = 0.6  # of a vessel that is stenosed is not believed
ORIGIN_PX = 60.0  # around a bifurcation, where a side branch shows how wide it leaves
BORDER_PX = 3.0  # an end that is so near to the picture's border faces no other end


def measure(
    probability: np.ndarray,
    *,
    image: np.ndarray | None = None,
    segments: np.ndarray | None = None,
    pixel_spacing_mm: float | None = None,
    tree: VesselTree | None = None,
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
        for whole in split_at_steps(measure_path(path, probability, beside, image)):
            if segments is not None:
                whole = replace(whole, segment_ids=_ids_along(whole.points_rc, segments).astype(np.uint8))
            for profile in split_at_forks(whole):
                profiles.append(replace(profile, vessel_id=len(profiles) + 1))
    profiles = [_oriented(profile, _leaves(profile, profiles)) for profile in profiles]
    found: list[list[Stenosis]] = [[] for _ in profiles]
    for left in reversed(range(ROUNDS)):
        profiles = _with_references(profiles, found)
        found = [find_stenoses(profile, fit_borders=not left) for profile in profiles]
    for place, (profile, stenoses) in enumerate(zip(profiles, found, strict=True)):
        profiles[place], found[place] = _believable(profile, stenoses)
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


def _leaves(profile: VesselProfile, profiles: list[VesselProfile]) -> tuple[bool, bool]:
    """Say of both ends of a vessel whether it leaves another one there.

    One that goes on past the place, or one whose segment lies nearer to the ostium.
    """
    found = []
    for node, own in ((profile.start, profile.segment_ids), (profile.end, profile.segment_ids[::-1])):
        leaves = node is not None and node.kind == "bifurcation" and node.id == SIDE
        if node is not None and node.kind == "bifurcation" and not leaves:
            reach = node.radius_px + 1
            for other in profiles:
                if other is profile:
                    continue
                distance = np.linalg.norm(other.points_rc - np.array(node.position_rc), axis=1)
                nearest = int(distance.argmin())
                arc = other.arc_length_px[nearest]
                goes_on = 2 * reach < arc < other.length_px - 2 * reach
                nearer = _rank(other.segment_ids[np.argsort(distance)]) < _rank(own)
                leaves |= bool(distance[nearest] <= reach and (goes_on or nearer))
        found.append(leaves)
    return found[0], found[1]


def _rank(ids: np.ndarray) -> float:
    """Return the rank of the first known label, NaN where there is none."""
    known = ids[np.isin(ids, list(RANK))]
    return float(RANK[int(known[0])]) if len(known) else np.nan


def _oriented(profile: VesselProfile, leaves: tuple[bool, bool]) -> VesselProfile:
    """Let a vessel run from its proximal to its distal end.

    By the rank of its segments; else a side branch from the bifurcation that it leaves; else from the wider
    end, which is a guess.
    """
    count = len(profile.points_rc)
    ranks = np.array([RANK.get(int(_id), np.nan) for _id in profile.segment_ids])
    known = np.isfinite(ranks)
    if known.any() and len(set(ranks[known])) > 1:
        slope = np.polyfit(np.flatnonzero(known), ranks[known], 1)[0]
        profile = replace(profile, direction_known=True)
        return profile.reversed() if slope < 0 else profile
    if leaves[0] != leaves[1]:
        profile = replace(profile, direction_known=True)
        return profile.reversed() if leaves[1] else profile
    usable = profile.is_measured
    if usable.sum() > 4:
        slope = np.polyfit(np.arange(count)[usable], profile.diameter_px[usable], 1)[0]
        return profile.reversed() if slope > 0 else profile
    return profile


def _believable(profile: VesselProfile, stenoses: list[Stenosis]) -> tuple[VesselProfile, list[Stenosis]]:
    """Measure a vessel again that would be stenosed nearly everywhere: its direction or its side branches were wrong."""
    inside = np.zeros(len(profile.points_rc), dtype=bool)
    for stenosis in stenoses:
        inside[stenosis.begin : stenosis.end + 1] = True
    usable = profile.is_measured & ~profile.occluded
    if not usable.any() or (inside & usable).sum() < MOSTLY * usable.sum():
        return profile, stenoses
    line = reference_line(profile.arc_length_px, profile.diameter_px, usable, direction_known=False)
    profile = replace(profile, reference_px=line)
    return profile, find_stenoses(profile)


def _with_references(profiles: list[VesselProfile], found: list[list[Stenosis]]) -> list[VesselProfile]:
    usable = []
    for profile, stenoses in zip(profiles, found, strict=True):
        free = profile.is_measured & ~profile.occluded
        for stenosis in stenoses:
            margin = int(FLANK * (stenosis.end - stenosis.begin))
            free[max(stenosis.begin - margin, 0) : stenosis.end + margin + 1] = False
        # A vessel that is all lesion has nothing else to refer to.
        usable.append(free if free.sum() >= 8 else profile.is_measured & ~profile.occluded)
    result = []
    for place, profile in enumerate(profiles):
        sides = []
        for other, side in enumerate(profiles):
            if other == place:
                continue
            for node in (side.start, side.end):
                if node is None or node.kind != "bifurcation":
                    continue
                at = np.array(node.position_rc)
                distance = np.linalg.norm(profile.points_rc - at, axis=1)
                nearest = int(distance.argmin())
                # Junctions of three branches have two nodes.
                if distance[nearest] > 2 * node.radius_px + 2:
                    continue
                near = usable[other] & (np.linalg.norm(side.points_rc - at, axis=1) < ORIGIN_PX)
                if near.sum() >= 4:
                    width = float(np.quantile(side.diameter_px[near], 0.75))
                    sides.append(SideBranch(float(profile.arc_length_px[nearest]), width))
        line = reference_line(
            profile.arc_length_px, profile.diameter_px, usable[place], sides, profile.direction_known
        )
        result.append(replace(profile, reference_px=line))
    return result
