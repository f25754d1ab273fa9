"""Stretches, smoothing and filling of samples, against plain loops and polynomials."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from monai_lora_sam.coronary.qca.samples import fill, smooth, stretches


def test_stretches_are_those_of_a_plain_loop():
    flags = np.random.default_rng(0).random(200) < 0.6
    expected, begin = [], 0
    for is_true, group in groupby(flags.tolist()):
        end = begin + len(list(group))
        if is_true:
            expected.append((begin, end))
        begin = end
    assert stretches(flags) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], []), ([False] * 3, []), ([True] * 3, [(0, 3)]), ([True, False, True], [(0, 1), (2, 3)])],
)
def test_stretches_at_the_ends(flags, expected):
    assert stretches(np.array(flags, dtype=bool)) == expected


def test_smoothing_keeps_a_quadratic_although_samples_are_missing():
    at = np.arange(60.0)
    quadratic = 5 + 0.3 * at - 0.01 * at**2
    valid = np.ones(60, dtype=bool)
    valid[20:26] = False
    assert smooth(np.where(valid, quadratic, 1e3), valid, 4.0) == pytest.approx(quadratic, abs=1e-4)


def test_smoothing_is_the_weighted_fit_of_numpy():
    rng = np.random.default_rng(1)
    values, at, sigma = rng.normal(size=40), np.arange(40), 3.0
    weights = np.sqrt(np.exp(-0.5 * ((at - 20) / sigma) ** 2) * (np.abs(at - 20) <= 9))
    expected = np.polyval(np.polyfit(at - 20, values, 2, w=weights), 0)
    assert smooth(values, np.ones(40, dtype=bool), sigma)[20] == pytest.approx(expected, abs=1e-4)


def test_too_few_samples_give_no_value():
    valid = np.zeros(50, dtype=bool)
    valid[[3, 4, 5]] = True
    assert np.isnan(smooth(np.ones(50), valid, 2.0)).all()


def test_filling_is_linear_and_constant_at_the_ends():
    values = np.array([9.0, 1.0, 9.0, 3.0, 9.0])
    assert fill(values, np.array([False, True, False, True, False])).tolist() == [1, 1, 2, 3, 3]
    assert np.isnan(fill(values, np.zeros(5, dtype=bool))).all()
