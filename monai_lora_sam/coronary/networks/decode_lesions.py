"""Lesions as rows of numbers in the network's pixels, and as dicts in the image's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, nms

from monai_lora_sam.coronary.boxes import box_centre

#: Columns of a lesion in a tensor. In the network's pixels, COCO's coordinates: the image spans 0 to its width,
#: and the centre of the first pixel is at 0.5. NaN is unknown; a row of NaN is no lesion.
LESION_COLUMNS = ("x0", "y0", "x1", "y1", "centre_x", "centre_y", "percent_diameter_stenosis", "mld_px")


def own_scale(shape: Sequence[int], side: int) -> tuple[float, float]:
    """Return how many of the network's pixels one of the image's own has in x and y.

    For an image scaled by ``ResizeLongestSided``, which rounds the shorter side to whole pixels.

    Args:
        shape: (H, W) of the image at its own size.
        side: of the square it was scaled into.
    """
    height, width = (round(length * side / max(shape)) / length for length in shape)
    return width, height


def decode_lesions(
    output: Mapping[str, Tensor],
    shapes: Sequence[Sequence[int]],
    side: int,
    score_threshold: float = 0.3,
    overlap: float = 0.3,
) -> list[list[dict[str, Any]]]:
    """Turn a detector's output into lesions in the pixels of each image at its own size.

    Args:
        output: of :class:`LesionDetector` without given boxes: ``boxes``, ``score``,
            ``percent_diameter_stenosis`` and ``mld_px`` are used, (B, K, …).
        shapes: for each image its own (H, W).
        side: of the square that the images were scaled into by ``ResizeLongestSided``.
        score_threshold: lesions below it are left out.
        overlap: of two boxes with a larger intersection over union the lower one is left out (NMS).

    Returns:
        for each image its lesions, best first: ``score``, ``box_xyxy``, ``centre_xy``,
        ``percent_diameter_stenosis``, ``mld_px``. Boxes are clipped to the image; one whose centre lies in the
        padding is no lesion.

    Raises:
        ValueError: if there are not as many shapes as images.
    """
    if len(shapes) != len(output["boxes"]):
        raise ValueError(f"expected {len(output['boxes'])} image shapes, found {len(shapes)}")
    lesions = []
    for index, shape in enumerate(shapes):
        score = output["score"][index].float()
        keep = torch.nonzero(score >= max(score_threshold, 1e-6))[:, 0]
        boxes = output["boxes"][index].float()[keep]
        keep = keep[nms(boxes, score[keep], overlap)]
        rows = torch.cat(
            [
                output["boxes"][index][keep].float(),
                torch.full((len(keep), 2), math.nan, device=boxes.device),
                output["percent_diameter_stenosis"][index][keep, None].float(),
                output["mld_px"][index][keep, None].float(),
            ],
            dim=1,
        )
        found = rows_to_lesions(rows, shape, side)
        for lesion, value in zip(found, score[keep].tolist(), strict=True):
            lesion["score"] = value
        height, width = shape
        lesions.append(
            [
                _clipped(lesion, height, width)
                for lesion in found
                if 0 <= lesion["centre_xy"][0] <= width and 0 <= lesion["centre_xy"][1] <= height
            ]
        )
    return lesions


def rows_to_lesions(rows: Tensor, shape: Sequence[int], side: int) -> list[dict[str, Any]]:
    """Turn (M, 8) rows of ``LESION_COLUMNS`` into lesions in the pixels of the image at its own size.

    Unknown values are None; an unknown centre is the box's.

    Args:
        rows: in the network's pixels, NaN rows where there is no lesion.
        shape: (H, W) of the image at its own size.
        side: of the square that the image was scaled into.

    Example:
        >>> rows = torch.tensor([[0.0, 0.0, 4.0, 2.0, math.nan, math.nan, 50.0, math.nan]])
        >>> rows_to_lesions(rows, (100, 100), 50)[0]["box_xyxy"]
        [0.0, 0.0, 8.0, 4.0]
    """
    across, down = own_scale(shape, side)
    lesions = []
    for row in rows.detach().cpu().double().tolist():
        if any(math.isnan(value) for value in row[:4]):
            continue
        x0, y0, x1, y1 = row[0] / across, row[1] / down, row[2] / across, row[3] / down
        known = not (math.isnan(row[4]) or math.isnan(row[5]))
        centre = [row[4] / across, row[5] / down] if known else list(box_centre((x0, y0, x1, y1)))
        lesions.append(
            {
                "box_xyxy": [x0, y0, x1, y1],
                "centre_xy": centre,
                "percent_diameter_stenosis": None if math.isnan(row[6]) else row[6],
                "mld_px": None if math.isnan(row[7]) else row[7] / math.sqrt(across * down),
            }
        )
    return lesions


def _clipped(lesion: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    box = clip_boxes_to_image(torch.tensor([lesion["box_xyxy"]], dtype=torch.float64), (height, width))
    return {**lesion, "box_xyxy": box[0].tolist()}
