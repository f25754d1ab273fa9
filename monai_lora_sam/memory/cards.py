"""Read the size of a GPU's memory, and say whether a peak fits it."""

from __future__ import annotations

import re

#: Sizes of the recommendation, in GiB.
CARDS = (8, 12, 16, 24, 48)
#: Sizes that a GPU can have, in GiB.
LEAST, MOST = 1, 1024
#: Memory of the CUDA context and the driver, in GiB: an assumption for planning, not a measurement.
CONTEXT_GIB = 0.5
#: Share of the peak that is left free, for the error of the prediction and for gaps between blocks.
MARGIN = 0.10


def parse_gpu(text: str) -> float:
    """Return the GiB of a GPU from text such as ``8GB``; vendors' GB are GiB.

    Raises:
        ValueError: no such size.

    Example:
        >>> parse_gpu("8GB")
        8.0
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:gi?b?)?\s*", text, re.IGNORECASE)
    if not found or not LEAST <= float(found[1]) <= MOST:
        raise ValueError(f"gpu: expected a size from {LEAST}GB to {MOST}GB, such as 8GB, found {text!r}")
    return float(found[1])


def needed_gib(peak_gib: float) -> float:
    """Return the memory that a GPU must have for a predicted peak."""
    return peak_gib * (1 + MARGIN) + CONTEXT_GIB
