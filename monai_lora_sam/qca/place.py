"""The lesion at a place that somebody pointed at: a reader, or a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_lora_sam.qca.lesion import Lesion, lesion_of
from monai_lora_sam.qca.profile import VesselProfile
from monai_lora_sam.qca.result import QcaResult
from monai_lora_sam.qca.stenosis import Stenosis

MARGIN = 0.15  # of a box's sides: a box drawn by eye may miss the narrowest place by a little


def lesion_at(
    result: QcaResult, box_xyxy: tuple[float, float, float, float], number: int = 1
) -> Lesion | None:
    """Return the lesion in a box: the measured one that is narrowest in it, else the narrowest place itself.

    Of a lesion with several stenoses, narrowest outside of the box, those in it are taken. A place that is no
    stenosis by measurement (less than 20 % narrower than the reference, say) has as its borders the ends of the
    stretch of vessel within the box.

    Args:
        result: what :func:`monai_lora_sam.qca.measure` gave for the picture.
        box_xyxy: left, top, right, bottom in pixels, 0 being the middle of the first pixel.
        number: the lesion's `id`.

    Returns:
        The lesion, or None where no vessel with a reference diameter lies in the box.

    Raises:
        ValueError: if the box has no area.

    Example:
        >>> lesion_at(measure(probability), (120, 80, 150, 110)).percent_diameter_stenosis
    """
    left, top, right, bottom = box_xyxy
    if not (right > left and bottom > top):
        raise ValueError(f"expected a box as left, top, right, bottom with an area, found {tuple(box_xyxy)}")
    margin = MARGIN * np.array([bottom - top, right - left])
    low, high = np.array([top, left]) - margin, np.array([bottom, right]) + margin
    inside = [
        lesion
        for lesion in result.lesions
        if ((lesion.minimum_rc >= low) & (lesion.minimum_rc <= high)).all()
    ]
    if inside:
        return replace(max(inside, key=lambda one: one.percent_diameter_stenosis), id=number)
    parts = [part for lesion in result.lesions if (part := _part(lesion, low, high, number)) is not None]
    if parts:
        return max(parts, key=lambda one: one.percent_diameter_stenosis)
    places = [place for profile in result.profiles if (place := _narrowest(profile, low, high)) is not None]
    if not places:
        return None
    _, profile, stenosis = min(places, key=lambda place: place[0])
    diseased = np.zeros(len(profile.points_rc), dtype=bool)
    diseased[stenosis.begin : stenosis.end + 1] = True
    return lesion_of(profile, [stenosis], number, diseased)


def _part(lesion: Lesion, low: np.ndarray, high: np.ndarray, number: int) -> Lesion | None:
    """Return those stenoses of a lesion that are narrowest in the box, as a lesion of their own."""
    points = lesion.profile.points_rc
    inside = [
        one for one in lesion.stenoses if ((points[one.minimum] >= low) & (points[one.minimum] <= high)).all()
    ]
    if not inside:
        return None
    diseased = np.zeros(len(points), dtype=bool)
    for one in lesion.stenoses:
        diseased[one.begin : one.end + 1] = True
    return lesion_of(lesion.profile, inside, number, diseased)


def _narrowest(
    profile: VesselProfile, low: np.ndarray, high: np.ndarray
) -> tuple[float, VesselProfile, Stenosis] | None:
    """Return diameter over reference at a vessel's narrowest place in the box, and that place."""
    within: np.ndarray = np.all((profile.points_rc >= low) & (profile.points_rc <= high), axis=1)
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
    closed = np.flatnonzero(within & profile.occluded)
    if len(closed):
        middle = int(closed[len(closed) // 2])
        return 0.0, profile, Stenosis(min(begin, middle), middle, max(end, middle), 0.0, True)
    diameter = float(profile.smoothed_px[minimum])
    return float(relative[minimum]), profile, Stenosis(begin, minimum, end, diameter, False)
