"""Draw a picture with coloured segments, lesions and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_lora_sam.coronary.report.colours import (
    BORDER_COLOUR,
    LESION_COLOUR,
    UNNAMED_COLOUR,
    rgb,
    segment_colour,
)
from monai_lora_sam.coronary.report.lesions import lesion_label, lesion_labels
from monai_lora_sam.report import grey, label_box, overlay, place_labels

FILL = 0.5  # share of the colour in a segment's pixels
LINE_PX, MARGIN_PX, SWATCH_PX = 19, 8, 11
LEGEND_BACKGROUND = (16, 18, 21)
Rows = Sequence[Mapping[str, Any]]


def segment_overlay(
    image: np.ndarray, vessels: np.ndarray, segments: np.ndarray, rows: Rows, lesions: Rows = ()
) -> np.ndarray:
    """Draw coloured segments and lesions onto an image, with a legend to its right.

    Args:
        image: (H, W), 0..1.
        vessels: (H, W), bool; vessels without a name are outlined in white.
        segments: (H, W), ARCADE category ids.
        rows: the report's `segments`: `id` and `name`, optionally `syntax`, which is written beside the vessel.
        lesions: the report's `lesions`: `id`, optionally `box_xy`, `segment`, `percent_diameter_stenosis`.

    Returns:
        (max(H, height of the legend), W + width of the legend, 3) uint8; the picture is its upper left part.

    Example:
        >>> picture = segment_overlay(image, segments > 0, segments, [{"id": 6, "name": "6 LAD proximal"}])
    """
    unnamed = vessels & (segments == 0)
    painted = overlay(image, unnamed, rgb(UNNAMED_COLOUR)).astype(np.float32)
    for row in rows:
        inside = segments == row["id"]
        colour = np.array(rgb(segment_colour(row["id"])), dtype=np.float32)
        painted[inside] = (1 - FILL) * grey(image)[inside, None] + FILL * colour
        ring = (overlay(image, inside) != grey(image)[..., None]).any(axis=2) & ~(segments > 0)
        painted[ring] = colour
    picture = Image.fromarray(np.rint(painted).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13)
    for lesion in (lesion for lesion in lesions if lesion.get("box_xy")):
        left, top, right, bottom = lesion["box_xy"]
        draw.rectangle((left, top, right, bottom), outline=LESION_COLOUR)
    written = lesion_labels(lesions, image.shape)
    names = {row["id"]: str(row["syntax"]) for row in rows if row.get("syntax")}
    places = place_labels(segments, names, [label_box(*one) for one in written])
    for text, place in [*written, *((names[number], place) for number, place in places.items())]:
        draw.text(
            place, text, fill=BORDER_COLOUR, font=font, anchor="mm", stroke_width=2, stroke_fill="black"
        )
    return _with_legend(np.asarray(picture), rows, lesions, bool(unnamed.any()))


def _with_legend(picture: np.ndarray, rows: Rows, lesions: Rows, unnamed: bool) -> np.ndarray:
    font = ImageFont.load_default(13)
    entries = [(segment_colour(row["id"]), str(row["name"]), True) for row in rows]
    if unnamed:
        entries.append((UNNAMED_COLOUR, "vessel without a name", False))
    for lesion in lesions:
        segment = lesion.get("segment")
        place = f" ({segment})" if segment else ""
        entries.append((LESION_COLOUR, f"lesion {lesion_label(lesion)}{place}", False))
    if not entries:
        return picture
    text_width = max(font.getlength(name) for _, name, _ in entries)
    width = int(np.ceil(text_width)) + 3 * MARGIN_PX + SWATCH_PX
    height = max(picture.shape[0], LINE_PX * len(entries) + 2 * MARGIN_PX)
    canvas = Image.new("RGB", (picture.shape[1] + width, height), LEGEND_BACKGROUND)
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    left = picture.shape[1] + MARGIN_PX
    for number, (colour, name, filled) in enumerate(entries):
        top = MARGIN_PX + LINE_PX * number
        swatch = (left, top + 3, left + SWATCH_PX, top + 3 + SWATCH_PX)
        draw.rectangle(swatch, fill=colour if filled else None, outline=colour)
        draw.text((left + SWATCH_PX + MARGIN_PX, top + 9), name, fill=(235, 235, 235), font=font, anchor="lm")
    return np.asarray(canvas)
