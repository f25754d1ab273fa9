"""Draw measured lesions beside their truth on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

HALF, ZOOM = 40, 5  # image pixels shown on each side of a lesion; sheet pixels for an image pixel
COLUMNS = 2
TRUE, MEASURED = "yellow", "red"


@dataclass(frozen=True)
class LesionComparison:
    """Hold a true lesion and its measurement.

    Attributes:
        title: a few words.
        image: (H, W) angiogram, 0..1.
        mask: (H, W) bool, the true vessels.
        true_xy: middle of the true lesion.
        measured_xy: measured points from border to border; empty where no lesion was found.
        measured_mld_xy: measured place of the smallest diameter; None where no lesion was found.
    """

    title: str
    image: np.ndarray
    mask: np.ndarray
    true_xy: Sequence[float]
    measured_xy: Sequence[Sequence[float]] = ()
    measured_mld_xy: Sequence[float] | None = None


def comparison_sheet(comparisons: Sequence[LesionComparison]) -> Image.Image:
    """Draw each lesion in the angiogram and in the true mask, the truth yellow and the measurement red.

    Raises:
        ValueError: no lesion, or a mask of another shape than its image.

    Example:
        >>> comparison_sheet([LesionComparison("1", image, mask, (120, 80))]).save("sheet.png")  # doctest: +SKIP
    """
    if not comparisons:
        raise ValueError("expected at least one lesion to show, found none")
    cells = [_cell(one) for one in comparisons]
    width, height = cells[0].size
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(cells) // COLUMNS) * height))
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % COLUMNS * width, place // COLUMNS * height))
    return sheet


def _cell(one: LesionComparison) -> Image.Image:
    if one.image.shape != one.mask.shape:
        raise ValueError(f"{one.title}: expected a mask of shape {one.image.shape}, found {one.mask.shape}")
    left, top = round(one.true_xy[0]) - HALF, round(one.true_xy[1]) - HALF
    side = 2 * HALF * ZOOM
    cell = Image.new("RGB", (2 * side, side))
    for place, grey in ((0, 255 * one.image.clip(0, 1)), (side, 160.0 * one.mask)):
        part = Image.fromarray(grey.astype(np.uint8)).crop((left, top, left + 2 * HALF, top + 2 * HALF))
        cell.paste(part.resize((side, side), Image.Resampling.NEAREST), (place, 0))
    draw = ImageDraw.Draw(cell)

    def circle(xy: Sequence[float], radius: int, colour: str) -> None:
        x, y = (xy[0] - left + 0.5) * ZOOM, (xy[1] - top + 0.5) * ZOOM
        for place in (0, side):
            if 0 <= x < side:
                box = (place + x - radius, y - radius, place + x + radius, y + radius)
                draw.ellipse(box, outline=colour, width=2)

    for point in one.measured_xy:
        circle(point, 1, MEASURED)
    if one.measured_mld_xy is not None:
        circle(one.measured_mld_xy, 12, MEASURED)
    circle(one.true_xy, 60, TRUE)
    draw.text((4, 2), one.title, fill=TRUE, font_size=16)
    return cell
