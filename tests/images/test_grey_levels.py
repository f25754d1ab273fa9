"""Grey levels from 0 to 1, by type and depth."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.images.grey_levels import to_unit


def test_eight_bits_are_divided_by_255():
    found = to_unit(np.array([[0, 51, 255]], np.uint8), eight_bit=True)
    np.testing.assert_allclose(found, [[0.0, 0.2, 1.0]], rtol=1e-6)
    assert found.dtype == np.float32


def test_floats_from_0_to_1_stay():
    grey = np.array([[0.25, 0.5]], np.float64)
    np.testing.assert_array_equal(to_unit(grey, eight_bit=False), grey.astype(np.float32))


def test_deeper_images_are_scaled_between_percentiles_and_clipped():
    grey = np.arange(100_001, dtype=np.float64).reshape(1, -1)
    found = to_unit(grey, eight_bit=False)
    assert found.min() == 0.0 and found.max() == 1.0
    assert found[0, 50_000] == pytest.approx(0.5, abs=1e-6)
    assert (found[0, :101] == 0).all() and (found[0, -101:] == 1).all()  # 0.1 % at each end
    np.testing.assert_allclose(to_unit(grey, False, (0.0, 200_002.0))[0, -1], 0.5, atol=1e-5)


def test_a_constant_image_is_black():
    assert not to_unit(np.full((2, 2), 700, np.uint16), eight_bit=False).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float):
    with pytest.raises(ValueError, match="expected finite pixels, found 1 NaN or infinite"):
        to_unit(np.array([[0.0, value]]), eight_bit=False)
