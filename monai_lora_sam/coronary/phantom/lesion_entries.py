"""The lesions of a phantom as a datalist's entry has them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: ARCADE's annotators outline a stenosis with the vessel beside it, a phantom's truth from shoulder to shoulder.
#: Grown about its middle by this factor the phantom's box is as large: in 512-pixel images both have a median
#: of √(width · height) near 54 pixels, and the 10th to 75th percentiles agree within 4 %.
BOX_GROWTH = 1.7


def lesion_entries(truth: dict[str, Any], vessel_mask: np.ndarray) -> tuple[list[dict[str, Any]], int]:
    """Return the lesions that the picture shows, and the number of those outside the visible picture.

    Args:
        truth: of one phantom, as :func:`truth_json` gives it, with pixel centres at whole coordinates.
        vessel_mask: (H, W), non-zero where a vessel is seen.

    Returns:
        one dict a lesion in the form that all datalists share: `category`, `box_xyxy` (grown by
        ``BOX_GROWTH``, clipped to the picture), `centre_xy` (where the lumen is narrowest),
        `percent_diameter_stenosis`, `mld_px`, `mld_mm`, and `segment`, `reference_diameter_mm`, `length_mm`.
        Coordinates are COCO's, as in ARCADE: the picture spans 0 to W, and the first pixel's centre is 0.5.
    """
    height, width = vessel_mask.shape
    entries, hidden = [], 0
    for lesion in truth["lesions"]:
        centre = np.asarray(lesion["centre_xy_px"]) + 0.5
        low, high = np.asarray(lesion["box_xyxy_px"]).reshape(2, 2) + 0.5
        # By the truth's own box: the narrowest lumen may be thinner than a pixel, and absent from the mask.
        (x0, y0), (x1, y1) = np.floor(low).astype(int).clip(0), np.ceil(high).astype(int).clip(0)
        inside = (centre >= 0).all() and centre[0] <= width and centre[1] <= height
        if not inside or not vessel_mask[y0:y1, x0:x1].any():
            hidden += 1
            continue
        middle, half = 0.5 * (low + high), 0.5 * BOX_GROWTH * (high - low)
        box = np.clip([*(middle - half), *(middle + half)], 0, [width, height, width, height])
        entries.append(
            {
                "category": "stenosis",
                "box_xyxy": box.round(2).tolist(),
                "centre_xy": centre.round(2).tolist(),
                "percent_diameter_stenosis": lesion["percent_diameter_stenosis"],
                "mld_px": lesion["minimum_lumen_diameter_px"],
                "mld_mm": lesion["minimum_lumen_diameter_mm"],
                "segment": lesion["segment"],
                "reference_diameter_mm": lesion["reference_diameter_mm"],
                "length_mm": lesion["length_mm"],
            }
        )
    return entries, hidden
