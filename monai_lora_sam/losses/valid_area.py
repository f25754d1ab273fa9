"""Tell the image from its padding on grids of any size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def valid_area(sizes: Sequence[tuple[int, int]], padded: tuple[int, int]) -> Tensor:
    """Return a map that is 1 on each image and 0 on the padding right of it and below.

    Args:
        sizes: height and width of each image before padding, in pixels.
        padded: height and width of all of them after it.

    Returns:
        (B, 1, H, W), float32.

    Raises:
        ValueError: no image, or one that is empty or larger than the padded size.

    Example:
        >>> valid_area([(2, 1)], (2, 2))[0, 0].tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """
    if not sizes:
        raise ValueError("sizes: expected one of each image, found none")
    area = torch.zeros(len(sizes), 1, *padded)
    for index, (height, width) in enumerate(sizes):
        if not (1 <= height <= padded[0] and 1 <= width <= padded[1]):
            raise ValueError(f"sizes[{index}]: expected 1 to {padded} pixels, found {(height, width)}")
        area[index, :, :height, :width] = 1
    return area


def cell_weights(valid: Tensor | None, maps: Tensor) -> Tensor:
    """Return the share of each cell of (B, C, h, w) maps that lies in the valid area, (B, 1, h, w).

    Args:
        valid: (B, 1, H, W), 1 in the valid area and 0 outside, on a grid of any size; None where all is valid.
        maps: whose grid, type and device the weights have.

    Raises:
        ValueError: another shape, values outside 0 to 1, or no valid cell at all.
    """
    if valid is None:
        return maps.new_ones(maps.shape[0], 1, *maps.shape[-2:])
    if valid.ndim != 4 or valid.shape[:2] != (maps.shape[0], 1):
        raise ValueError(f"valid: expected the shape ({maps.shape[0]}, 1, H, W), found {tuple(valid.shape)}")
    weights = valid.to(maps.device, maps.dtype)
    if not bool(((weights >= 0) & (weights <= 1)).all()):
        raise ValueError("valid: expected values from 0 to 1, found others")
    if weights.shape[-2:] != maps.shape[-2:]:
        weights = functional.interpolate(weights, maps.shape[-2:], mode="area")
    if not bool(weights.any()):
        raise ValueError("valid: expected a valid cell, found none")
    return weights


def resize_valid(maps: Tensor, weights: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, h, w) maps bilinearly from their valid cells alone.

    A cell outside the valid area has no part in its neighbours, and a new cell that no valid one reaches is 0.

    Args:
        maps: values.
        weights: of :func:`cell_weights`, on the same grid.
        size: new height and width.
    """
    inside = torch.where(weights > 0, maps, 0)
    if list(maps.shape[-2:]) == list(size):
        return inside
    both = torch.cat([inside * weights, weights], dim=1)
    smaller = size[0] < maps.shape[-2] or size[1] < maps.shape[-1]
    both = functional.interpolate(both, tuple(size), mode="bilinear", align_corners=False, antialias=smaller)
    reached = both[:, -1:]
    return torch.where(reached > 0, both[:, :-1] / reached.clamp_min(torch.finfo(maps.dtype).tiny), 0)
