"""Windows and percentiles against MONAI's transforms and MedSAM's formula."""

from __future__ import annotations

import numpy as np
import pytest
from monai.transforms import ScaleIntensityRange

from monai_lora_sam.images import (
    CT_WINDOWS,
    INTENSITY_PRESETS,
    parse_window,
    to_unit_by_percentiles,
    to_unit_by_preset,
    to_unit_by_window,
)

CT = np.random.default_rng(0).integers(-1024, 3000, (8, 9, 5)).astype(np.int16)
MR = np.random.default_rng(1).gamma(2, 300, (8, 9, 5)).astype(np.float32)
MR[:3] = 0


def medsam(pixels: np.ndarray) -> np.ndarray:
    """Return what MedSAM's preprocessing of MR computes, in 0..1 in place of 0..255."""
    low, high = np.percentile(pixels[pixels > 0], (0.5, 99.5))
    clipped = np.clip(pixels, low, high)
    scaled = (clipped - clipped.min()) / (clipped.max() - clipped.min())
    scaled[pixels == 0] = 0
    return scaled


@pytest.mark.parametrize("name", CT_WINDOWS)
def test_a_window_is_that_of_monai(name):
    level, width = CT_WINDOWS[name]
    monai = ScaleIntensityRange(level - width / 2, level + width / 2, 0.0, 1.0, clip=True)
    found = to_unit_by_window(CT, level, width)
    assert found.dtype == np.float32 and found.shape == CT.shape
    np.testing.assert_allclose(found, np.asarray(monai(CT.astype(np.float32))), atol=1e-6)
    np.testing.assert_array_equal(to_unit_by_preset(CT, name), found)


def test_percentiles_are_medsams_and_zeros_stay():
    found = to_unit_by_percentiles(MR)
    assert found.dtype == np.float32 and not found[:3].any()
    np.testing.assert_allclose(found, medsam(MR), atol=1e-6)
    np.testing.assert_array_equal(to_unit_by_preset(MR, "percentiles"), found)


def test_zeros_stay_below_negative_values():
    found = to_unit_by_percentiles(np.array([-10.0, 0.0, -5.0]), 0, 100)
    np.testing.assert_array_equal(found, np.array([0, 0, 1], np.float32))


@pytest.mark.parametrize("value", [0, 7, -1000])
@pytest.mark.parametrize("preset", INTENSITY_PRESETS)
def test_a_constant_image_is_black(preset, value):
    assert not to_unit_by_preset(np.full((3, 4), value, np.int16), preset).any()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="found 2 NaN or infinite ones"):
        to_unit_by_percentiles(np.array([1.0, np.nan, np.inf]))
    with pytest.raises(ValueError, match="a width above 0, found level 40, width 0"):
        to_unit_by_window(CT, 40, 0)
    with pytest.raises(ValueError, match="0 <= low < high <= 100, found 99 and 1"):
        to_unit_by_percentiles(MR, 99, 1)
    with pytest.raises(
        ValueError, match="ct_abdomen, ct_lung, ct_bone, ct_brain, percentiles, found 'ct_liver'"
    ):
        to_unit_by_preset(CT, "ct_liver")
    with pytest.raises(ValueError, match="found an empty array"):
        to_unit_by_window(np.zeros((0, 3)), 40, 400)
    with pytest.raises(ValueError, match="expected real numbers, found bool"):
        to_unit_by_window(np.ones(3, bool), 40, 400)


def test_windows_are_given_as_text():
    assert parse_window("ct_lung") == (-600.0, 1500.0) and parse_window("percentiles") is None
    assert parse_window("-600, 1500") == (-600.0, 1500.0)
    np.testing.assert_array_equal(to_unit_by_preset(CT, "40,400"), to_unit_by_preset(CT, "ct_abdomen"))
    for wrong in ("40", "40,400,3", "a,b", ""):
        with pytest.raises(ValueError, match="expected LEVEL,WIDTH or a preset out of ct_abdomen"):
            parse_window(wrong)
    for wrong in ("40,0", "40,-3", "nan,400", "40,inf"):
        with pytest.raises(ValueError, match="expected a finite level and a width above 0"):
            parse_window(wrong)
