"""The bootstrap interval against that of a normal mean."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.metrics import mean_with_interval


def test_the_interval_is_that_of_a_normal_mean():
    values = np.random.default_rng(0).normal(0.7, 0.1, 400)
    found = mean_with_interval(np.append(values, np.nan))
    half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    assert found["count"] == 400
    assert found["mean"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.002)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.002)


def test_without_spread_the_interval_is_the_mean():
    assert mean_with_interval(np.array([0.5, np.nan])) == {"mean": 0.5, "low": 0.5, "high": 0.5, "count": 1}
    assert mean_with_interval(np.array([0.5, 0.5]))["low"] == 0.5
    assert mean_with_interval(np.array([np.nan])) == {"mean": None, "low": None, "high": None, "count": 0}
