"""Contrast in projection: the length of each ray inside the lumen, and the masks of the projected lumen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_lora_sam.coronary.polyline import Polyline

#: A vessel running along the ray is as deep as it is long; the factor 1 / sin(angle) is limited to this.
LARGEST_FORESHORTENING = 2.2
_CHUNK = 48


@dataclass
class ProjectedVessel:
    """One vessel in the picture, drawn in its bounding box only.

    Attributes:
        rows, columns: the slices of the box.
        path_mm: (h, w) float32 length of the ray inside the lumen, averaged over the pixel.
        inside: (h, w) bool, the pixel's centre lies in the projected lumen.
        nearest: (h, w) index of the centreline sample the pixel belongs to.
        closeness: (h, w) distance from the centreline in radii there (infinite outside the lumen).
    """

    rows: slice
    columns: slice
    path_mm: np.ndarray
    inside: np.ndarray
    nearest: np.ndarray
    closeness: np.ndarray


def _chord_integral(distance: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Integrate the chord 2·sqrt(r² − x²) of a circle from its middle to a distance."""
    x = np.clip(distance, -radius, radius)
    return x * np.sqrt(np.maximum(radius**2 - x**2, 0.0)) + radius**2 * np.arcsin(x / radius)


def draw_vessel(
    points_rc_px: np.ndarray,
    radius_px: np.ndarray,
    mm_per_px: np.ndarray,
    stretch: np.ndarray,
    shape: tuple[int, int],
) -> ProjectedVessel | None:
    """Draw one vessel as a chain of tapered capsules.

    The ray's length in a round lumen of radius r at distance d from the axis is 2·sqrt(r² − d²), here
    averaged over a pixel's width (the integral is exact across the vessel), so that the edge falls where it
    should to a fraction of a pixel. Along one vessel the deepest capsule counts; over vessels they add up.

    Args:
        points_rc_px: (N, 2) centreline.
        radius_px: (N,) radius of the projected lumen.
        mm_per_px: (N,) size in mm of a pixel at the sample's depth.
        stretch: (N,) factor on the ray's length for vessels that do not run across the ray.
        shape: rows and columns of the picture.

    Returns:
        The drawn vessel, or None when it lies outside the picture.
    """
    reach = radius_px + 2.0
    low = np.floor((points_rc_px - reach[:, None]).min(axis=0)).astype(int)
    high = np.ceil((points_rc_px + reach[:, None]).max(axis=0)).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    if np.any(high <= low):
        return None
    height, width = (high - low).tolist()
    path = np.zeros(height * width, np.float32)
    closeness = np.full(height * width, np.inf)
    nearest = np.zeros(height * width, np.int64)
    for first in range(0, len(points_rc_px) - 1, _CHUNK):
        ends = np.arange(first, min(first + _CHUNK, len(points_rc_px) - 1))
        flat, sample, depth, close = _draw_capsules(
            ends, points_rc_px, radius_px, mm_per_px, stretch, low, high
        )
        np.maximum.at(path, flat, depth)
        order = np.argsort(-close, kind="stable")  # the closest is written last and stays
        flat, sample, close = flat[order], sample[order], close[order]
        better = close < closeness[flat]
        closeness[flat[better]] = close[better]
        nearest[flat[better]] = sample[better]
    box = (height, width)
    closeness = np.where(closeness <= 1.0, closeness, np.inf).reshape(box)
    return ProjectedVessel(
        slice(int(low[0]), int(high[0])),
        slice(int(low[1]), int(high[1])),
        path.reshape(box),
        np.isfinite(closeness),
        nearest.reshape(box),
        closeness,
    )


def _draw_capsules(
    ends: np.ndarray,
    points: np.ndarray,
    radius_px: np.ndarray,
    mm_per_px: np.ndarray,
    stretch: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each pixel near a capsule, its flat index, sample, ray length in mm, distance in radii."""
    start, along = points[ends], points[ends + 1] - points[ends]
    reach = int(np.ceil(radius_px[ends[0] : ends[-1] + 2].max() + 1.5 + np.abs(along).max()))
    offsets = np.arange(-reach, reach + 1)
    base = np.rint(start).astype(int)
    rows = base[:, 0, None, None] + offsets[None, :, None]
    columns = base[:, 1, None, None] + offsets[None, None, :]
    rows, columns = np.broadcast_arrays(rows, columns)
    seen = (rows >= low[0]) & (rows < high[0]) & (columns >= low[1]) & (columns < high[1])
    which = np.nonzero(seen)[0]
    row, column = rows[seen], columns[seen]
    from_row, from_column = row - start[which, 0], column - start[which, 1]
    length2 = np.maximum((along**2).sum(axis=1), 1e-12)
    t = (from_row * along[which, 0] + from_column * along[which, 1]) / length2[which]
    t = np.clip(t, 0.0, 1.0)
    distance = np.hypot(from_row - t * along[which, 0], from_column - t * along[which, 1])
    first, second = ends[which], ends[which] + 1

    def between(values: np.ndarray) -> np.ndarray:
        return (1 - t) * values[first] + t * values[second]

    radius = between(radius_px)
    near = distance < radius + 0.5
    which, row, column, t, distance = which[near], row[near], column[near], t[near], distance[near]
    first, second, radius = first[near], second[near], radius[near]
    length_px = _chord_integral(distance + 0.5, radius) - _chord_integral(distance - 0.5, radius)
    depth = length_px * between(mm_per_px) * between(stretch)
    flat = (row - low[0]) * (high[1] - low[1]) + (column - low[1])
    return flat, np.where(t < 0.5, first, second), depth.astype(np.float32), distance / radius


def ray_stretch(points_mm: np.ndarray, source_mm: np.ndarray) -> np.ndarray:
    """Return (N,) the factor 1 / sin(angle between vessel and ray), limited to `LARGEST_FORESHORTENING`."""
    tangent = Polyline(points_mm).tangents
    ray = points_mm - source_mm
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    sine = np.sqrt(np.maximum(1.0 - (tangent * ray).sum(axis=1) ** 2, 0.0))
    return 1.0 / np.maximum(sine, 1.0 / LARGEST_FORESHORTENING)


def merge_at_origin(
    total: np.ndarray, parent: np.ndarray, child: np.ndarray, origin_rc: np.ndarray, radius_px: float
) -> None:
    """Subtract, in place, the contrast that a branch and its parent count twice where the branch leaves.

    Near the origin both lumens are one; the smaller of the two lengths is subtracted there, fading out at two
    and a half parent radii.

    Args:
        total: (H, W) sum over vessels.
        parent, child: (H, W) lengths of the two vessels.
        origin_rc: where the branch leaves its parent.
        radius_px: the parent's radius there.
    """
    reach = 2.5 * max(radius_px, 1.0)
    low = np.maximum(np.floor(origin_rc - reach).astype(int), 0)
    high = np.minimum(np.ceil(origin_rc + reach).astype(int) + 1, total.shape)
    if np.any(high <= low):
        return
    box = slice(low[0], high[0]), slice(low[1], high[1])
    rows, columns = np.ogrid[box]
    distance = np.hypot(rows - origin_rc[0], columns - origin_rc[1]) / max(radius_px, 1.0)
    weight = np.clip((2.5 - distance) / 1.2, 0.0, 1.0)
    total[box] -= weight * np.minimum(parent[box], child[box])
