"""Find places for short names beside regions and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

DIRECTIONS = 16
OFFSETS = (1.3, 1.9, 2.6)  # label heights between the region's middle and the label's


Box = tuple[float, float, float, float]  # left, top, right, bottom


def place_labels(
    regions: np.ndarray, names: Mapping[int, str], taken: Sequence[Box] = (), text_height_px: float = 13.0
) -> dict[int, tuple[float, float]]:
    """Find a place for each region's name: beside its middle, off all regions and off the other names.

    A name is left out if every place near its region lies on another name or outside the picture.

    Args:
        regions: (H, W) integer ids, 0 for background.
        names: text by region id.
        taken: boxes that other texts cover.
        text_height_px: height of the letters; a letter counts as 0.6 times as wide.

    Returns:
        The (x, y) of the middle of each placed name, by region id.

    Example:
        >>> regions = np.zeros((64, 64), dtype=np.uint8)
        >>> regions[30:34, 8:56] = 6
        >>> list(place_labels(regions, {6: "6"}))
        [6]
    """
    # Share of regions under a label's box: a name hides as little of them as possible.
    covered = uniform_filter((regions > 0).astype(np.float32), size=max(3, round(text_height_px)))
    placed: dict[int, tuple[float, float]] = {}
    boxes = list(taken)
    sizes = {number: int((regions == number).sum()) for number in names}
    for number in sorted(names, key=lambda number: -sizes[number]):
        if not sizes[number]:
            continue
        free = [
            (float(covered[int(y), int(x)]), order, (x, y))
            for order, (x, y) in enumerate(_candidates(regions == number, text_height_px, names[number]))
            if _fits(label_box(names[number], (x, y), text_height_px), regions.shape, boxes)
        ]
        if free:
            placed[number] = min(free)[2]
            boxes.append(label_box(names[number], placed[number], text_height_px))
    return placed


def place_box_labels(
    boxes_xy: Mapping[int, Sequence[float]],
    names: Mapping[int, str],
    shape: tuple[int, ...],
    text_height_px: float = 13.0,
) -> dict[int, tuple[float, float]]:
    """Find a place for the name of each box (left, top, right, bottom): above, below or beside the box.

    Returns:
        The (x, y) of the middle of each name, by the box's key; above the box where every place is taken.
    """
    placed: dict[int, tuple[float, float]] = {}
    boxes: list[Box] = []
    for key, (left, top, right, bottom) in boxes_xy.items():
        half_width, half_height = _half_width(names[key], text_height_px) + 2, text_height_px / 2 + 2
        x, y = (left + right) / 2, (top + bottom) / 2
        places = [
            *((x, top - half_height), (x, bottom + half_height)),
            *((right + half_width, y), (left - half_width, y)),
            *((right + half_width, top), (right + half_width, bottom)),
            *((left - half_width, top), (left - half_width, bottom)),
        ]
        free = [one for one in places if _fits(label_box(names[key], one, text_height_px), shape, boxes)]
        placed[key] = (free or places)[0]
        boxes.append(label_box(names[key], placed[key], text_height_px))
    return placed


def label_box(name: str, middle_xy: tuple[float, float], text_height_px: float = 13.0) -> Box:
    """Return the box (left, top, right, bottom) that a name covers around its middle."""
    half_width = _half_width(name, text_height_px)
    x, y = middle_xy
    return x - half_width, y - text_height_px / 2, x + half_width, y + text_height_px / 2


def _half_width(name: str, text_height_px: float) -> float:
    return max(0.3 * len(name) + 0.2, 0.5) * text_height_px


def _candidates(mask: np.ndarray, text_height_px: float, name: str) -> list[tuple[float, float]]:
    """Return places around the mask's pixel nearest to its middle, the nearest first."""
    points = np.argwhere(mask)
    row, column = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    half_width = _half_width(name, text_height_px)
    return [
        (
            float(column + np.cos(angle) * (half_width + (offset - 0.5) * text_height_px)),
            float(row + np.sin(angle) * offset * text_height_px),
        )
        for offset in OFFSETS
        for angle in angles
    ]


def _fits(box: Box, shape: tuple[int, ...], others: Sequence[Box]) -> bool:
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= shape[1] and box[3] <= shape[0]
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in others
    )
