"""The lesion in a box that a reader or a network points at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_lora_sam.coronary.qca.lesion import Lesion, lesion_of
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.result import QcaResult
from monai_lora_sam.coronary.qca.stenosis import Stenosis, inside_stenoses

MARGIN = 0.15  # of a box's sides: a box drawn by eye may miss the narrowest point by a little


def lesion_at(
    result: QcaResult, box_xyxy: tuple[float, float, float, float], number: int = 1
) -> Lesion | None:
    """Return the lesion in a box: the measured one (`stenosis_at`), else the narrowest point itself.

    A point that is no stenosis by measurement (less than 20 % narrower than the reference, say) has as its
    borders the ends of the stretch of vessel within the box.

    Args:
        result: of :func:`monai_lora_sam.coronary.qca.measure` for the picture.
        box_xyxy: left, top, right, bottom in pixels, 0 being the middle of the first pixel.
        number: the lesion's `id`.

    Returns:
        The lesion, or None where no vessel with a reference diameter lies in the box.

    Raises:
        ValueError: if the box has no area.

    Example:
        >>> lesion_at(measure(probability), (120, 80, 150, 110)).percent_diameter_stenosis
    """
    found = stenosis_at(result, box_xyxy, number)
    if found is not None:
        return found
    low, high = _limits(box_xyxy)
    sites = [site for profile in result.profiles if (site := _narrowest(profile, low, high)) is not None]
    if not sites:
        return None
    _, profile, stenosis = min(sites, key=lambda site: site[0])
    return lesion_of(profile, [stenosis], number, inside_stenoses([stenosis], len(profile.points_rc)))


def stenosis_at(
    result: QcaResult, box_xyxy: tuple[float, float, float, float], number: int = 1
) -> Lesion | None:
    """Return the measured lesion that is narrowest in a box; None where nothing in it was found to be stenosed.

    Of a lesion that is narrowest outside of the box, the stenoses in it are taken; of an occlusion, a part is enough.

    Args:
        result, box_xyxy, number: as of :func:`lesion_at`.

    Raises:
        ValueError: if the box has no area.
    """
    low, high = _limits(box_xyxy)
    inside = [
        lesion
        for lesion in result.lesions
        if ((lesion.minimum_rc >= low) & (lesion.minimum_rc <= high)).all()
    ]
    if inside:
        return replace(max(inside, key=lambda one: one.percent_diameter_stenosis), id=number)
    parts = [part for lesion in result.lesions if (part := _part(lesion, low, high, number)) is not None]
    return max(parts, key=lambda one: one.percent_diameter_stenosis, default=None)


def _limits(box_xyxy: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    left, top, right, bottom = box_xyxy
    if not (right > left and bottom > top):
        raise ValueError(f"expected a box as left, top, right, bottom with an area, found {tuple(box_xyxy)}")
    margin = MARGIN * np.array([bottom - top, right - left])
    return np.array([top, left]) - margin, np.array([bottom, right]) + margin


def _part(lesion: Lesion, low: np.ndarray, high: np.ndarray, number: int) -> Lesion | None:
    """Return those stenoses of a lesion that are narrowest in the box, or closed there, as a lesion of their own."""
    profile = lesion.profile
    within = _within(profile, low, high)
    inside = [
        one
        for one in lesion.stenoses
        if within[one.minimum]
        or (one.total_occlusion and (within & profile.occluded)[one.begin : one.end + 1].any())
    ]
    if not inside:
        return None
    return lesion_of(profile, inside, number, inside_stenoses(lesion.stenoses, len(profile.points_rc)))


def _within(profile: VesselProfile, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.all((profile.points_rc >= low) & (profile.points_rc <= high), axis=1)


def _narrowest(
    profile: VesselProfile, low: np.ndarray, high: np.ndarray
) -> tuple[float, VesselProfile, Stenosis] | None:
    """Return diameter over reference at a vessel's narrowest point in the box, the vessel, and the stretch there."""
    within = _within(profile, low, high)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = profile.smoothed_px / profile.reference_px
    known = within & profile.is_measured & np.isfinite(relative)
    if not known.any():
        return None
    minimum = int(np.argmin(np.where(known, relative, np.inf)))
    begin = end = minimum
    while begin > 0 and within[begin - 1]:
        begin -= 1
    while end + 1 < len(within) and within[end + 1]:
        end += 1
    diameter = float(profile.smoothed_px[minimum])
    return float(relative[minimum]), profile, Stenosis(begin, minimum, end, diameter, False)
