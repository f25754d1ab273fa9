"""Scaling of grey levels against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.exposure import rescale_intensity

from monai_lora_sam.images.grey_levels import WINDOW_PERCENTILES, to_unit

DEEP = np.random.default_rng(0).integers(-500, 3000, (40, 50)).astype(np.int16)


def test_8_bit_is_divided_by_255():
    grey = np.arange(256, dtype=np.uint16)
    np.testing.assert_allclose(to_unit(grey, eight_bit=True), grey / 255, atol=1e-7)


def test_floats_within_the_range_stay():
    grey = np.random.default_rng(0).random((5, 6))
    np.testing.assert_array_equal(to_unit(grey, eight_bit=False), grey.astype(np.float32))


@pytest.mark.parametrize("window", [None, (0.0, 1000.0)])
def test_deeper_pixels_are_scaled_as_by_scikit_image(window):
    low, high = window or np.percentile(DEEP, WINDOW_PERCENTILES)
    expected = rescale_intensity(DEEP.astype(float), (low, high), (0.0, 1.0))
    found = to_unit(DEEP, False, window)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_flat_image_is_black():
    assert not to_unit(np.full((3, 3), 700, np.uint16), eight_bit=False).any()


def test_pixels_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="expected finite pixels, found 2 NaN or infinite ones"):
        to_unit(np.array([0.5, np.nan, np.inf]), eight_bit=False)
