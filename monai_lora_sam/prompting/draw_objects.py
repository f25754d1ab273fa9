"""Draw masks and their prompts onto an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_lora_sam.prompting.segment_image import SegmentedObject
from monai_lora_sam.report import grey, place_labels

#: Colours that the colour-blind tell apart (Okabe and Ito, 2008).
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
FILL = 0.45  # share of the colour in a mask's pixels
SHORTEST_LONG_SIDE = 512  # px; smaller pictures are enlarged by a whole factor, so that names can be read
FOREGROUND, BACKGROUND = "#39ff14", "#ff2d2d"


def draw_objects(
    pixels: np.ndarray, objects: Sequence[SegmentedObject], slice_index: int | None = None
) -> np.ndarray:
    """Draw each object's mask in a colour of its own, with its box, its points and its name.

    Args:
        pixels: (H, W, 3), 0..1.
        objects: masks (H, W).
        slice_index: of a volume's slice; prompts of other slices are left out then.

    Returns:
        (H, W, 3) uint8, enlarged by a whole factor where the image is small.

    Example:
        >>> picture = draw_objects(image.pixels, segment_image(network, image.pixels, prompts))  # doctest: +SKIP
    """
    factor = max(1, round(SHORTEST_LONG_SIDE / max(pixels.shape[:2])))
    canvas = grey(pixels).repeat(factor, 0).repeat(factor, 1).astype(np.float32)
    regions = np.zeros(canvas.shape[:2], np.int32)
    shown = {n: one for n, one in enumerate(objects, 1) if one.prompt.slice_index == slice_index}
    for number, one in enumerate(objects, 1):
        mask = one.mask.repeat(factor, 0).repeat(factor, 1)
        canvas[mask] = (1 - FILL) * canvas[mask] + FILL * np.array(object_colour(number), np.float32)
        regions[mask] = number
        if number in shown and not mask.any() and (one.prompt.box or one.prompt.points):
            regions[_prompted_pixel(one, factor)] = number
    picture = Image.fromarray(np.rint(canvas).astype(np.uint8))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for number, one in shown.items():
        if one.prompt.box is not None:
            draw.rectangle([factor * side for side in one.prompt.box], outline=object_colour(number))
        for x, y, label in one.prompt.points:
            x, y, radius = factor * (x + 0.5), factor * (y + 0.5), 4
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=FOREGROUND if label else BACKGROUND,
                outline="black",
            )
    names = {number: one.prompt.name for number, one in enumerate(objects, 1)}
    if slice_index is not None:
        draw.text((6, 6), f"slice {slice_index}", "white", font, stroke_width=2, stroke_fill="black")
    for number, place in place_labels(regions, names).items():
        draw.text(place, names[number], "white", font, "mm", stroke_width=2, stroke_fill="black")
    return np.asarray(picture)


def _prompted_pixel(one: SegmentedObject, factor: int) -> tuple[int, int]:
    """Return the pixel (row, column) of an enlarged picture where an object without a mask gets its name."""
    x0, y0, x1, y1 = one.prompt.box or (*one.prompt.points[0][:2], *one.prompt.points[0][:2])
    height, width = (factor * side for side in one.mask.shape)
    return min(int(factor * (y0 + y1) / 2), height - 1), min(int(factor * (x0 + x1) / 2), width - 1)


def object_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of the n-th object of a picture, from 1; colours repeat after seven."""
    return COLOURS[(number - 1) % len(COLOURS)]
