"""Draw over a picture in SVG, in pixels of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from monai_lora_sam.report import pictures


def svg(
    shape: tuple[int, ...], parts: Sequence[Markup], window: tuple[int, int, int, int] | None = None
) -> Markup:
    """Wrap drawings in an `<svg>` in pixels of a picture (H, W), or of a window (left, top, width, height)."""
    return (
        Markup('<svg viewBox="{} {} {} {}" aria-hidden="true">').format(
            *(window or (0, 0, shape[1], shape[0]))
        )
        + Markup("").join(parts)
        + Markup("</svg>")
    )


def outline(mask: np.ndarray, colour: str, filled: bool = False) -> Markup:
    """Return a mask's outline as an SVG path."""
    fill = Markup(' style="fill:{};fill-opacity:.45"').format(colour) if filled else Markup("")
    path = pictures.outline_path(mask)
    return Markup('<path class="outline" stroke="{}"{} d="{}"/>').format(colour, fill, path)


def polyline(
    points_xy: Sequence[Sequence[float | None] | None] | Sequence[np.ndarray],
    colour: str,
    style: str,
    cased: bool = False,
) -> Markup:
    """Return a line through points (x, y), with a gap where a point is None; `cased` adds a dark edge."""
    pieces, pen_down = [], False
    for point in points_xy:
        known = (
            point is not None and point[0] is not None and bool(np.isfinite(np.asarray(point, float)).all())
        )
        if known:
            pieces.append(f"{'L' if pen_down else 'M'}{point[0]:.2f} {point[1]:.2f}")  # type: ignore[index]
        pen_down = known
    path = "".join(pieces)
    casing = Markup('<path class="casing" d="{}"/>').format(path) if cased else Markup("")
    return casing + Markup('<path class="{}" stroke="{}" d="{}"/>').format(style, colour, path)


def centred(parts: Sequence[Markup]) -> Markup:
    """Shift drawings by half a pixel: their whole numbers are centres of pixels, which SVG has at a half."""
    return Markup('<g transform="translate(.5 .5)">') + Markup("").join(parts) + Markup("</g>")
