"""Mean of scores with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap


def mean_with_interval(values: Sequence[float] | np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Return the mean of the values that are not NaN, their median, and the mean's 95 % percentile bootstrap interval.

    Args:
        values: scores, one for each case; NaN where there is none.
        seed: of the resampling.

    Returns:
        `mean`, `median`, `low`, `high` (None without a value) and `count`, the number of values that are not NaN.

    Example:
        >>> mean_with_interval([0.5, 0.7, float("nan")])["count"]
        2
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if known.size == 0:
        return {"mean": None, "median": None, "low": None, "high": None, "count": 0}
    mean = low = high = float(known.mean())
    if known.size > 1 and np.ptp(known) > 0:
        interval = bootstrap((known,), np.mean, method="percentile", rng=seed).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return {
        "mean": mean,
        "median": float(np.median(known)),
        "low": low,
        "high": high,
        "count": int(known.size),
    }
