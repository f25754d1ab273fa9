"""Stage 1's map drawn again at the angiogram's own size, and kept to what stage 1 found."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from monai_lora_sam.coronary.networks import LumenRefiner
from monai_lora_sam.coronary.pipeline.stage_networks import THRESHOLD

LEVEL = 0.1  # of stage 1's map, from which on there may be vessel
REACH_PX = 4.0  # beyond that, in a picture of 512 pixels a side
SHARE = 0.5  # of a piece of the new mask that stage 1 has to take for vessel, too


def redraw(refiner: LumenRefiner, pixels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the vessel probability that the refiner gives, near what stage 1 found, 0 elsewhere.

    By itself the refiner, which has seen synthetic angiograms only, also draws the catheter and what merely looks
    like a vessel. So it may draw again what stage 1 found, go on where stage 1 is in doubt and close its gaps;
    pieces that are for the most part new are left out.

    Args:
        refiner: runs on the device that it is on.
        pixels: (H, W) angiogram, 0 to 1.
        probability: (H, W) stage 1's map at that size, 0 to 1.

    Returns:
        (H, W) float32.

    Raises:
        ValueError: if the two differ in size.

    Example:
        >>> redraw(load_lumen_refiner(), angiogram.pixels, probability)  # doctest: +SKIP
    """
    device = next(refiner.parameters()).device
    read = [torch.from_numpy(np.asarray(one, np.float32))[None, None] for one in (pixels, probability)]
    with torch.inference_mode():
        refined = refiner(*(one.to(device) for one in read)).sigmoid()[0, 0].cpu().numpy()
    may_be = probability >= LEVEL
    if not may_be.any():
        return np.zeros_like(refined)
    reach = REACH_PX * max(pixels.shape) / 512
    refined[ndimage.distance_transform_edt(~may_be) > reach] = 0.0
    pieces, count = ndimage.label(refined >= THRESHOLD, structure=np.ones((3, 3)))
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    known = np.bincount(pieces[probability >= THRESHOLD], minlength=count + 1)
    new = known < SHARE * size
    new[0] = False  # the background
    refined[new[pieces]] = 0.0
    return refined
