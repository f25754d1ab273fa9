"""Boxes and rings of points in COCO's coordinates, in which the image spans 0 to W by 0 to H. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["box_around", "box_centre", "check_box", "ring_points"]


def check_box(box_xyxy: Sequence[float] | None, name: str) -> tuple[float, float, float, float]:
    """Return a box as four finite numbers with an area.

    Args:
        box_xyxy: [x0, y0, x1, y1].
        name: owner of the box, which starts the error's message.

    Raises:
        ValueError: not four finite numbers, or x0 < x1 and y0 < y1 do not hold.

    Example:
        >>> check_box([1, 2, 5, 4], "lesion 0")
        (1.0, 2.0, 5.0, 4.0)
    """
    if box_xyxy is None or len(box_xyxy) != 4:
        raise ValueError(f"{name}: expected box_xyxy [x0, y0, x1, y1], found {box_xyxy}")
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    if not (np.isfinite([x0, y0, x1, y1]).all() and x0 < x1 and y0 < y1):
        raise ValueError(
            f"{name}: expected a finite box_xyxy with x0 < x1 and y0 < y1, found {list(box_xyxy)}"
        )
    return x0, y0, x1, y1


def box_centre(box_xyxy: Sequence[float]) -> tuple[float, float]:
    """Return the centre (x, y) of a box [x0, y0, x1, y1].

    Example:
        >>> box_centre([1, 2, 5, 4])
        (3.0, 3.0)
    """
    x0, y0, x1, y1 = box_xyxy
    return 0.5 * (x0 + x1), 0.5 * (y0 + y1)


def box_around(rings: Sequence[Sequence[float]]) -> list[float]:
    """Return the box [x0, y0, x1, y1] around rings [x0, y0, x1, y1, ...].

    Example:
        >>> box_around([[1, 1, 4, 1, 4, 3], [0, 2, 1, 2, 1, 5]])
        [0, 1, 4, 5]
    """
    x = [value for ring in rings for value in ring[0::2]]
    y = [value for ring in rings for value in ring[1::2]]
    return [min(x), min(y), max(x), max(y)]


def ring_points(ring: Sequence[float], name: str = "") -> np.ndarray:
    """Return the points of a ring [x0, y0, x1, y1, ...] as (N, 2) float64.

    Args:
        ring: at least three points.
        name: owner of the ring, which starts the error's message.

    Raises:
        ValueError: fewer than three points, an odd number of coordinates, or one that is not finite.

    Example:
        >>> ring_points([0, 0, 4, 0, 4, 2]).shape
        (3, 2)
    """
    start = f"{name}: " if name else ""
    try:
        numbers = np.asarray(ring)
    except ValueError:  # lists of different lengths
        numbers = np.empty(0, dtype=object)
    if numbers.dtype.kind not in "iuf" or numbers.ndim != 1:
        raise ValueError(f"{start}expected at least 3 finite points x, y, found {ring!r:.80}")
    if len(ring) < 6 or len(ring) % 2 or not np.isfinite(numbers).all():
        raise ValueError(
            f"{start}expected at least 3 finite points x, y, found {len(ring)} numbers: {list(ring)[:8]}"
        )
    return numbers.astype(np.float64).reshape(-1, 2)
