"""Doubt whether a picture is a contrast-filled coronary angiogram, by what stage 1 found in it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: Lowest sum of the largest piece's share and 15 times the mean probability's distance from 0.9. Chosen on angiograms
#: (ARCADE, CIMAT, phantoms) and other pictures (MR, CT, ultrasound, fundus, photographs) for the shipped stage 1.
LOWEST_SCORE = 0.45
_USUAL_PROBABILITY, _WEIGHT = 0.9, 15.0


def doubt_about(probability: np.ndarray, vessels: np.ndarray) -> str | None:
    """Return why a picture may be no coronary angiogram, in words; None where nothing speaks against it.

    In other pictures stage 1 finds pieces of edges that do not hang together, and is less sure of them.

    Args:
        probability: (H, W), of stage 1 and the refiner.
        vessels: (H, W) bool.
    """
    if not vessels.any():
        return None
    labels, count = ndimage.label(vessels)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    share, sure = float(sizes.max() / sizes.sum()), float(probability[vessels].mean())
    if share + _WEIGHT * (sure - _USUAL_PROBABILITY) >= LOWEST_SCORE:
        return None
    return (
        "The picture does not look like a contrast-filled coronary angiogram: the vessels found in it fall apart (the "
        f"largest piece is {share:.0%} of them) and are uncertain (mean probability {sure:.2f})."
    )
