"""Trace a vessel between two places along the vessel map."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter
from skimage.graph import route_through_array

from label_app.errors import Refused

#: Probability from which a pixel is lumen.
LUMEN = 0.5
#: Probability below which a path pays as if it left the picture's vessels, so that gaps are bridged, not avoided.
FLOOR = 0.01
#: Pixels of 512 around a click within which the vessel is looked for.
REACH = 8
#: Half the width in pixels that a path gets where the map shows no vessel.
THINNEST = 1.0


def trace_vessel(
    probability: np.ndarray, start_xy: tuple[float, float], end_xy: tuple[float, float]
) -> np.ndarray:
    """Return the lumen (H, W) along the likeliest path between two places.

    The path costs -log of the vessel probability in each pixel (a minimal path, Cohen and Kimmel 1997), less the
    farther from the wall, so that it keeps to the middle. It is filled to the walls of the map: each pixel of the path
    with a disc of its distance to the wall, cut at the map's outline.

    Args:
        probability: (H, W), of being vessel.
        start_xy, end_xy: places in pixels; the likeliest pixel near each is taken.

    Raises:
        Refused: a place outside the picture.

    Example:
        >>> mask = trace_vessel(vessel_map, (120.0, 80.0), (300.0, 210.0))  # doctest: +SKIP
    """
    height, width = probability.shape
    ends = []
    for x, y in (start_xy, end_xy):
        if not (0 <= x < width and 0 <= y < height):
            raise Refused(f"expected a place inside {width} x {height} pixels, found {x:g}, {y:g}")
        ends.append(_likeliest(probability, int(y), int(x)))
    lumen = probability >= LUMEN
    # Distance of each pixel to the wall, in pixels; the edges of the picture are no walls.
    radius = distance_transform_edt(np.pad(lumen, 1, mode="edge"))[1:-1, 1:-1]
    cost = (-np.log(np.clip(probability, FLOOR, 1.0)) + 0.02) / (1 + radius)  # a short way counts too
    path, _ = route_through_array(cost, ends[0], ends[1], fully_connected=True, geometric=True)
    rows, columns = np.transpose(path)
    half_width = np.maximum(radius[rows, columns], THINNEST)
    filled = np.zeros_like(lumen)
    down, across = np.mgrid[:height, :width]
    reach = int(np.ceil(half_width.max()))
    for row, column, half in zip(rows, columns, half_width, strict=True):
        window = (
            slice(max(0, row - reach), row + reach + 1),
            slice(max(0, column - reach), column + reach + 1),
        )
        near = (down[window] - row) ** 2 + (across[window] - column) ** 2
        filled[window] |= near <= half**2
    on_path = np.zeros_like(lumen)
    on_path[rows, columns] = True
    bridge = maximum_filter(on_path, size=3)  # where the map has a gap
    return filled & (lumen | bridge)


def _likeliest(probability: np.ndarray, row: int, column: int) -> tuple[int, int]:
    """Return the pixel near a place that is most probably vessel, the nearest of equals."""
    reach = max(2, round(REACH * max(probability.shape) / 512))
    top, left = max(0, row - reach), max(0, column - reach)
    near = probability[top : row + reach + 1, left : column + reach + 1]
    down, across = np.mgrid[top : top + near.shape[0], left : left + near.shape[1]]
    distance = np.hypot(down - row, across - column)
    # A pixel at the reach has to be 0.3 likelier than the one that was clicked.
    best = np.unravel_index(np.argmax(near - 0.3 * distance / reach), near.shape)
    return top + int(best[0]), left + int(best[1])
