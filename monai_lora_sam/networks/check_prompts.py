"""Check prompts against the images that they are for."""

from __future__ import annotations

import torch
from torch import Tensor


def check_prompts(
    batch: int,
    height: int,
    width: int,
    points: Tensor | None = None,
    point_labels: Tensor | None = None,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
) -> None:
    """Raise a ``ValueError`` that names the prompt which does not fit a batch of images of this size."""
    given = {"points": points, "boxes": boxes, "masks": masks}
    shapes = {
        "points": (batch, None, None, 2),
        "boxes": (batch, None, 4),
        "masks": (batch, None, height, width),
    }
    counts = {}
    for name, prompt in given.items():
        if prompt is None:
            continue
        expected = shapes[name]
        fits = len(expected) == prompt.ndim and all(
            side in (None, found) for side, found in zip(expected, prompt.shape, strict=True)
        )
        if not fits or 0 in prompt.shape:
            words = ", ".join("any" if side is None else str(side) for side in expected)
            raise ValueError(f"{name}: expected the shape ({words}), found {tuple(prompt.shape)}")
        if not prompt.isfinite().all():
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinity")
        counts[name] = prompt.shape[1]
    if not counts:
        raise ValueError("expected points, boxes or masks, found no prompt")
    if len(set(counts.values())) > 1:
        raise ValueError(f"expected as many prompts of each kind, found {counts}")
    if (points is None) != (point_labels is None):
        raise ValueError("expected points and point_labels together, found one of them")
    limit = torch.tensor([width, height], device=next(p for p in given.values() if p is not None).device)
    if points is not None and point_labels is not None:
        if point_labels.shape != points.shape[:3]:
            raise ValueError(
                f"point_labels: expected the shape {tuple(points.shape[:3])}, found {tuple(point_labels.shape)}"
            )
        unknown = set(point_labels.unique().tolist()) - {-1, 0, 1}
        if unknown:
            raise ValueError(f"point_labels: expected 1, 0 or -1, found {sorted(unknown)}")
        outside = ((points < 0) | (points >= limit)).any(-1) & (point_labels >= 0)
        if outside.any():
            raise ValueError(
                f"points: expected x below {width} and y below {height}, found {points[outside][0].tolist()}"
            )
    if boxes is not None:
        empty = (boxes[..., 2:] <= boxes[..., :2]).any(-1)
        outside = (boxes < 0).any(-1) | (boxes[..., 2:] > limit).any(-1)
        if empty.any():
            raise ValueError(f"boxes: expected x0 < x1 and y0 < y1, found {boxes[empty][0].tolist()}")
        if outside.any():
            raise ValueError(
                f"boxes: expected x from 0 to {width} and y from 0 to {height}, found {boxes[outside][0].tolist()}"
            )
