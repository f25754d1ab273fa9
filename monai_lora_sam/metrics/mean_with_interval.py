"""Mean of scores with its bootstrap interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import bootstrap


def mean_with_interval(values: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Compute the mean of the values that are not NaN, and its 95 % percentile bootstrap interval.

    Args:
        values: one score for each image or volume.
        seed: of the drawing with replacement.

    Returns:
        `mean`, `low`, `high` (None without a value) and `count`.

    Example:
        >>> mean_with_interval(np.array([0.5, 0.5, np.nan]))
        {'mean': 0.5, 'low': 0.5, 'high': 0.5, 'count': 2}
    """
    values = values[~np.isnan(values)]
    if values.size == 0:
        return {"mean": None, "low": None, "high": None, "count": 0}
    low = high = float(values.mean())
    if np.ptp(values) > 0:
        interval = bootstrap((values,), np.mean, method="percentile", rng=seed).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return {"mean": float(values.mean()), "low": low, "high": high, "count": int(values.size)}
