"""The detector against Beer and Lambert, Poisson and the display's limits."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom.detector import Display, expose

SHAPE = (64, 64)
OPEN = np.ones(SHAPE, np.float32)
PLAIN = Display(enhancement=0.0, enhancement_px=1.0, dark=20.0, bright=220.0, middle=0.5, shutter=0.0)


def test_the_signal_falls_exponentially_with_attenuation():
    rng = np.random.default_rng(0)
    one, two = (
        expose(rng, np.full(SHAPE, value), OPEN, blur_px=0.5, photons=1e7).mean() for value in (1.0, 2.0)
    )
    assert one == pytest.approx(np.exp(-1.0), rel=1e-3)
    assert one / two == pytest.approx(np.e, rel=1e-3)


def test_noise_is_that_of_counted_photons():
    signal = expose(
        np.random.default_rng(1), np.zeros(SHAPE), OPEN, blur_px=0.5, photons=400.0, detector_blur_px=0.0
    )
    assert signal.std() / signal.mean() == pytest.approx(1 / np.sqrt(400), rel=0.1)


def test_a_display_keeps_the_order_of_greys_between_dark_and_bright():
    signal = np.exp(-np.linspace(0.0, 2.0, SHAPE[0] * SHAPE[1])).reshape(SHAPE)
    shown = PLAIN.show(signal, OPEN)
    assert shown.dtype == np.uint8
    assert np.all(np.diff(shown.ravel().astype(int)) <= 0)
    assert np.percentile(shown, 1) == pytest.approx(20, abs=5)
    assert np.percentile(shown, 99) == pytest.approx(220, abs=5)


def test_behind_the_shutter_it_is_black():
    passed = OPEN.copy()
    passed[:, :20] = 0.0
    assert PLAIN.show(np.full(SHAPE, 0.5), passed)[:, :20].max() == 0
