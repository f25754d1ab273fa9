from __future__ import annotations

import math

import pytest

from monai_lora_sam.metrics import agreement


def test_bland_and_altmans_own_example():
    """Peak expiratory flow by two meters, l/min (Lancet 1986; 327: 307–310, table and text)."""
    wright = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    result = agreement(wright, mini)
    assert result.n == 17 and result.skipped == 0
    assert result.bias == pytest.approx(-2.1, abs=0.05)
    assert result.standard_deviation == pytest.approx(38.8, abs=0.05)
    # The paper takes 2 standard deviations: -79.7 and 75.5.
    assert result.bias - 2 * result.standard_deviation == pytest.approx(-79.7, abs=0.1)
    assert result.lower_limit == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.1)
    assert result.upper_limit == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.1)


def test_unknown_values_are_skipped_and_counted():
    result = agreement([50.0, None, 70.0, float("nan"), 40.0], [48.0, 60.0, 74.0, 10.0, None])
    assert (result.n, result.skipped) == (2, 3)
    assert (result.mean_absolute_error, result.bias) == (3.0, -1.0)
    assert result.standard_deviation == pytest.approx(math.sqrt(18))


def test_too_few_pairs_give_nan():
    one = agreement([5.0], [3.0])
    assert (one.bias, one.mean_absolute_error) == (2.0, 2.0)
    assert math.isnan(one.standard_deviation) and math.isnan(one.lower_limit)
    none = agreement([], [])
    assert none.n == 0 and math.isnan(none.bias) and math.isnan(none.mean_absolute_error)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="found 2 measured and 1 references"):
        agreement([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="reference: expected finite numbers, None or NaN, found infinity"):
        agreement([1.0], [float("inf")])
