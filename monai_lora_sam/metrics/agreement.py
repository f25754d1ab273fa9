"""Agreement of measured with true values: absolute error, bias, limits of agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Hold the differences of measured values from their references, in the unit of the values.

    Attributes:
        n: number of pairs with two known values.
        skipped: number of pairs left out because a value is None or NaN.
        mean_absolute_error: mean of |measured - reference|; NaN without a pair.
        bias: mean of measured - reference; NaN without a pair.
        standard_deviation: of measured - reference, with n - 1; NaN below two pairs.
        lower_limit, upper_limit: 95 % limits of agreement, bias ± 1.96 standard deviations.
        error_of_constant: mean absolute error of the best constant in place of the measured values, the median of the
            references; a measurement with a larger error tells nothing. NaN without a pair.
    """

    n: int
    skipped: int
    mean_absolute_error: float
    bias: float
    standard_deviation: float
    lower_limit: float
    upper_limit: float
    error_of_constant: float


def _numbers(values: Sequence[float | None], name: str) -> np.ndarray:
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if np.isinf(numbers).any():
        raise ValueError(f"{name}: expected finite numbers, None or NaN, found infinity")
    return numbers


def agreement(measured: Sequence[float | None], reference: Sequence[float | None]) -> Agreement:
    """Compare measured values with their references as Bland & Altman do (Lancet 1986; 327: 307–310).

    Args:
        measured: one value for each case; None or NaN where it was not measured.
        reference: the true values, in the same order and unit; None or NaN where unknown.

    Raises:
        ValueError: different lengths, or an infinite value.

    Example:
        >>> agreement([52.0, 61.0, None], [50.0, 65.0, 40.0]).mean_absolute_error
        3.0
    """
    if len(measured) != len(reference):
        raise ValueError(
            "expected as many measured values as references, "
            f"found {len(measured)} measured and {len(reference)} references"
        )
    true = _numbers(reference, "reference")
    difference = _numbers(measured, "measured") - true
    paired = ~np.isnan(difference)
    known, true = difference[paired], true[paired]
    skipped = len(difference) - len(known)
    bias = float(known.mean()) if len(known) else float("nan")
    deviation = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return Agreement(
        n=len(known),
        skipped=skipped,
        mean_absolute_error=float(np.abs(known).mean()) if len(known) else float("nan"),
        bias=bias,
        standard_deviation=deviation,
        lower_limit=bias - 1.96 * deviation,
        upper_limit=bias + 1.96 * deviation,
        error_of_constant=float(np.abs(true - np.median(true)).mean()) if len(true) else float("nan"),
    )
