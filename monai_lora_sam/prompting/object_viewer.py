"""Show masks and their prompts on a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from monai_lora_sam.prompting.draw_objects import object_colour
from monai_lora_sam.prompting.segment_image import SegmentedObject
from monai_lora_sam.report import Viewer, data_uri, grey, outline, png, polyline, svg


def object_viewer(pixels: np.ndarray, objects: Sequence[SegmentedObject], caption: str = "") -> Viewer:
    """Return a picture with the objects' masks, boxes and points, for a page.

    Args:
        pixels: (H, W, 3), 0..1.
        objects: masks (H, W).
        caption: text below the picture.

    Example:
        >>> write_page("page.html", "Organs", [Section("Organs", [Gallery([object_viewer(pixels, found)])])])
        ... # doctest: +SKIP
    """
    colours = {
        one.prompt.name: "#{:02x}{:02x}{:02x}".format(*object_colour(n)) for n, one in enumerate(objects, 1)
    }
    masks = [outline(one.mask, colours[one.prompt.name], filled=True) for one in objects]
    prompts: list[Markup] = []
    for one in objects:
        colour = colours[one.prompt.name]
        if one.prompt.box is not None:
            x0, y0, x1, y1 = one.prompt.box
            corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
            prompts.append(polyline(corners, colour, "outline"))
        for x, y, _ in one.prompt.points:
            cross = [(x - 3, y), (x + 3, y), None, (x, y - 3), (x, y + 3)]
            prompts.append(polyline(cross, colour, "outline"))
    return Viewer(
        base=data_uri(png(grey(pixels))),
        base_label="Image",
        layers={
            "Masks": svg(pixels.shape[:2], [*masks, *prompts]),
            "Prompts": svg(pixels.shape[:2], prompts),
        },
        caption=caption,
        legend=colours,
    )
