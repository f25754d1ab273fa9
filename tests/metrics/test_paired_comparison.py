"""Paired comparisons: against SciPy, Holm's own example, and by simulated results of known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from monai_lora_sam.metrics import compare_methods, holm

CASES, RUNS = 40, 100


def _simulated(number: int, effect: float) -> dict[str, np.ndarray]:
    """Score three methods on cases of very different difficulty; the first is better by `effect`."""
    rng = np.random.default_rng(number)
    difficulty = rng.beta(5, 2, CASES)
    return {
        name: difficulty + shift + rng.normal(0, 0.03, CASES)
        for name, shift in (("a", effect), ("b", 0.0), ("c", 0.0))
    }


def test_intervals_cover_the_true_difference_of_simulated_results():
    found = []
    for number in range(RUNS):
        scores = _simulated(number, 0.02)
        found += compare_methods({name: scores[name] for name in "ab"}, seed=number)
    covered = sum(one.low <= 0.02 <= one.high for one in found)
    # 95 % nominal; percentile intervals of 40 cases cover about 94 %, and 100 runs have a standard error of 2.4 points.
    assert 0.87 * RUNS <= covered <= RUNS
    assert all(one.difference == pytest.approx(0.02, abs=0.03) for one in found)


def test_no_difference_is_shown_where_there_is_none():
    wrong = sum(
        any(one.verdict != "no difference shown" for one in compare_methods(_simulated(number, 0.0)))
        for number in range(RUNS)
    )
    assert wrong <= 0.12 * RUNS  # 5 % of families, within three standard errors


def test_a_real_difference_is_shown_through_the_spread_of_cases():
    first, second, third = compare_methods(_simulated(1, 0.05))
    assert (first.verdict, second.verdict) == ("a better", "a better")
    assert third.verdict == "no difference shown"
    lower = compare_methods(_simulated(1, 0.05), higher_is_better=False)[0]
    assert lower.verdict == "b better"


def test_the_test_is_scipys_and_holm_comes_on_top():
    scores = _simulated(3, 0.01)
    found = compare_methods(scores)
    expected = [wilcoxon(scores[one.first], scores[one.second]).pvalue for one in found]
    assert [one.p_value for one in found] == pytest.approx(expected, rel=1e-6)
    assert [one.p_holm for one in found] == holm([one.p_value for one in found])


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_cases_without_a_score_of_both_are_left_out():
    a = [0.9, math.nan, 0.8, 0.7, 0.8, 0.9, 0.95, 0.85]
    b = [0.8, 0.9, 0.7, math.nan, 0.7, 0.8, 0.85, 0.75]
    one = compare_methods({"a": a, "b": b})[0]
    assert one.cases == 6
    assert one.difference == pytest.approx(0.1)


def test_equal_scores_and_few_cases():
    same = compare_methods({"a": [0.5] * 8, "b": [0.5] * 8})[0]
    assert (same.p_value, same.verdict) == (1.0, "no difference shown")
    few = compare_methods({"a": [0.5] * 5, "b": [0.6] * 5})[0]
    assert few.difference is None
    assert few.verdict == "fewer than 6 cases"


def test_other_numbers_of_cases_are_refused():
    with pytest.raises(ValueError, match="expected a score of each method for each case, found"):
        compare_methods({"a": [0.5] * 8, "b": [0.5] * 7})
