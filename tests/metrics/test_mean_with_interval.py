"""The bootstrap interval of a mean against that of a normal mean."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.metrics import mean_with_interval


def test_the_interval_is_that_of_a_normal_mean() -> None:
    values = np.random.default_rng(0).normal(0.7, 0.1, 400)
    found = mean_with_interval(np.append(values, np.nan))
    half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    assert found["count"] == 400
    assert found["mean"] == pytest.approx(values.mean())
    assert found["median"] == pytest.approx(np.median(values))
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.002)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.002)


def test_few_equal_or_no_values_have_an_answer() -> None:
    assert mean_with_interval([float("nan")]) == {
        "mean": None,
        "median": None,
        "low": None,
        "high": None,
        "count": 0,
    }
    for values in ([0.5], [0.5, 0.5, 0.5]):
        found = mean_with_interval(values)
        assert (found["mean"], found["low"], found["high"], found["count"]) == (0.5, 0.5, 0.5, len(values))
