"""Refine stage 1's map at the angiogram's own size, near the vessels that stage 1 found."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from monai_lora_sam.coronary.networks import LumenRefiner
from monai_lora_sam.coronary.pipeline.stage_networks import THRESHOLD

LEVEL = 0.1  # probability of stage 1, from which on the refiner may draw vessel
REACH_PX = 4.0  # distance from there in px of an image of 512 px a side, within which it may draw
SHARE = 0.5  # of the pixels of a piece that stage 1 has to take for vessel


def refine_map(refiner: LumenRefiner, pixels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the refiner's vessel probability near the vessels of stage 1, 0 elsewhere.

    Args:
        refiner: runs on the device that it is on.
        pixels: (H, W) angiogram, 0 to 1.
        probability: (H, W) stage 1's map at that size, 0 to 1.

    Returns:
        (H, W) float32.

    Raises:
        ValueError: if the two differ in size.

    Example:
        >>> refine_map(load_lumen_refiner(), angiogram.pixels, probability)  # doctest: +SKIP
    """
    device = next(refiner.parameters()).device
    read = [torch.from_numpy(np.asarray(part, np.float32))[None, None] for part in (pixels, probability)]
    with torch.inference_mode():
        refined = refiner(*(part.to(device) for part in read)).sigmoid()[0, 0].cpu().numpy()
    return keep_near(refined, probability)


def keep_near(refined: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return a refined map without the vessels that stage 1 did not find.

    The refiner has seen synthetic angiograms only, and draws catheters and other dark lines as well. It may
    sharpen the vessels of stage 1, follow them where stage 1 is in doubt and close their gaps. Pieces of which
    stage 1 took less than half for vessel are left out.

    Args:
        refined: (H, W) probability by the refiner.
        probability: (H, W) stage 1's map.

    Example:
        >>> keep_near(np.ones((8, 8), np.float32), np.zeros((8, 8))).max()
        np.float32(0.0)
    """
    may_be = probability >= LEVEL
    if not may_be.any():
        return np.zeros_like(refined)
    reach = REACH_PX * max(probability.shape) / 512
    refined = np.where(ndimage.distance_transform_edt(~may_be) > reach, np.float32(0), refined)
    pieces, count = ndimage.label(refined >= THRESHOLD, structure=np.ones((3, 3)))
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    known = np.bincount(pieces[probability >= THRESHOLD], minlength=count + 1)
    new = known < SHARE * size
    new[0] = False  # the background
    refined[new[pieces]] = 0.0
    return refined
