"""Compare methods that were scored on the same cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import wilcoxon

from monai_lora_sam.metrics.mean_with_interval import mean_with_interval

#: Probability of a difference shown somewhere in a family of comparisons where there is none.
LEVEL = 0.05
#: Fewest cases with both scores that a comparison is made on: with five Wilcoxon's test cannot reach 5 %.
FEWEST_CASES = 6


@dataclass(frozen=True)
class PairedComparison:
    """Hold the difference of two methods on the same cases.

    Attributes:
        first, second: names of the methods.
        cases: number of cases on which both have a score.
        difference: mean of first minus second; None below ``FEWEST_CASES``.
        low, high: ends of its 95 % bootstrap interval over cases.
        p_value: of Wilcoxon's signed-rank test, two-sided.
        p_holm: that value after Holm's correction for all comparisons of the family.
        higher_is_better: direction of the score.
    """

    first: str
    second: str
    cases: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_holm: float | None = None
    higher_is_better: bool = True

    @property
    def verdict(self) -> str:
        """Name the better method, or say that no difference is shown or that there are too few cases.

        A difference is shown where the corrected test finds one and the interval leaves out zero.
        """
        if self.difference is None or self.p_holm is None or self.low is None or self.high is None:
            return f"fewer than {FEWEST_CASES} cases"
        if self.p_holm >= LEVEL or self.low <= 0 <= self.high:
            return "no difference shown"
        return f"{self.first if (self.difference > 0) == self.higher_is_better else self.second} better"


def compare_methods(
    scores: Mapping[str, Sequence[float] | np.ndarray], higher_is_better: bool = True, seed: int = 0
) -> list[PairedComparison]:
    """Compare every two methods on the cases on which both have a score.

    The interval resamples cases, both scores of a case together. Tests are corrected together by Holm (Scandinavian
    Journal of Statistics 1979; 6: 65–70). Average the seeds of a method, and the slices of a case, before: the case is
    the unit that was drawn.

    Args:
        scores: of each method, case by case in one order; NaN where there is none.
        higher_is_better: False for distances.
        seed: of the resampling.

    Raises:
        ValueError: methods with different numbers of cases.

    Example:
        >>> dice = {"a": [0.7, 0.8, 0.9, 0.6, 0.7, 0.8], "b": [0.6, 0.8, 0.8, 0.5, 0.5, 0.7]}
        >>> compare_methods(dice)[0].verdict
        'no difference shown'
    """
    counts = {name: len(values) for name, values in scores.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"expected a score of each method for each case, found {counts}")
    found = [
        _compare(first, second, np.asarray(scores[first], float), np.asarray(scores[second], float), seed)
        for first, second in combinations(scores, 2)
    ]
    corrected = iter(holm([one.p_value for one in found if one.p_value is not None]))
    return [
        replace(
            one,
            p_holm=None if one.p_value is None else next(corrected),
            higher_is_better=higher_is_better,
        )
        for one in found
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's step-down correction, in their order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected


def _compare(first: str, second: str, one: np.ndarray, other: np.ndarray, seed: int) -> PairedComparison:
    differences = one - other
    differences = differences[np.isfinite(differences)]
    if differences.size < FEWEST_CASES:
        return PairedComparison(first, second, int(differences.size), None, None, None, None)
    found = mean_with_interval(differences, seed)
    # Rounding noise is no difference: 0.8 - 0.7 and 0.9 - 0.8 rank alike.
    rounded = np.round(differences, 12)
    p_value = float(wilcoxon(rounded).pvalue) if rounded.any() else 1.0
    return PairedComparison(
        first,
        second,
        int(differences.size),
        found["mean"],
        found["low"],
        found["high"],
        1.0 if math.isnan(p_value) else p_value,
    )
