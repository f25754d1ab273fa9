"""Shadows of round lumens, drawn by Beer and Lambert's law, in angiograms whose walls a map puts wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.qca.lumen import lumen_diameters, shows_depth

ROWS, COLUMNS = np.mgrid[:70, :240].astype(float)
MIDDLE = 34.6


def shadow(diameter: np.ndarray, blur: float = 1.0, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """Draw a horizontal vessel (fifth of a pixel, then averaged) whose diameter is given by column."""
    fine = (np.arange(70 * 5) + 0.5) / 5 - 0.5 - MIDDLE
    depth = 2 * np.sqrt(np.maximum((diameter / 2) ** 2 - fine[:, None] ** 2, 0)).reshape(70, 5, -1).mean(
        axis=1
    )
    grey = 0.7 - 0.02 * gaussian_filter(depth, blur) + 0.001 * ROWS + 0.0005 * COLUMNS
    return grey + np.random.default_rng(seed).normal(0, noise, grey.shape)


def narrowed(percent: float, width: float = 12.0) -> np.ndarray:
    inside = np.abs(COLUMNS[0] - 120) < 25
    return width * (1 - inside * percent / 100 * 0.5 * (1 + np.cos(np.pi * (COLUMNS[0] - 120) / 25)))


@pytest.mark.parametrize("width", [3.0, 6.0, 12.0, 20.0])
def test_diameters_although_the_map_is_too_wide(width: float):
    columns = np.arange(10, 230, 0.5)
    points = np.column_stack([np.full(len(columns), MIDDLE + 0.4), columns])
    across = np.tile([1.0, 0.0], (len(columns), 1))
    image = shadow(np.full(240, width))
    guess = np.full(len(columns), 1.25 * width)
    fitted = lumen_diameters(image, points, across, guess, np.ones(len(columns), dtype=bool))
    diameters, offset, _ = fitted
    assert np.median(diameters) == pytest.approx(width, abs=0.35)
    assert np.median(offset) == pytest.approx(-0.4, abs=0.2)


@pytest.mark.parametrize("percent", [40, 70, 90])
def test_a_stenosis_that_the_map_does_not_show(percent: float):
    # The map is of a vessel narrowed by far less.
    map_of = np.clip(narrowed(0.4 * percent) / 2 + 0.5 - np.abs(ROWS - MIDDLE), 0, 1)
    (lesion,) = measure(map_of, image=shadow(narrowed(percent))).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(percent, abs=8)
    assert lesion.reference_diameter_px == pytest.approx(12, abs=0.5)
    assert lesion.minimum_rc == pytest.approx([MIDDLE, 120], abs=3)


def test_a_break_in_the_map_is_no_occlusion_where_the_angiogram_shows_a_lumen():
    mask = np.abs(ROWS - MIDDLE) < narrowed(70) / 2
    mask[:, 112:128] = False
    assert measure(mask).lesions[0].total_occlusion
    (lesion,) = measure(mask, image=shadow(narrowed(70))).lesions
    assert not lesion.total_occlusion
    assert lesion.percent_diameter_stenosis == pytest.approx(70, abs=8)


def test_an_occlusion_in_the_angiogram_stays_one():
    width = np.where(np.abs(COLUMNS[0] - 120) < 15, 0.0, 12.0)
    mask = np.abs(ROWS - MIDDLE) < width / 2
    (lesion,) = measure(mask, image=shadow(width)).lesions
    assert lesion.total_occlusion and lesion.percent_diameter_stenosis == 100


def test_a_picture_that_is_no_shadow_changes_nothing():
    mask = np.abs(ROWS - MIDDLE) < narrowed(60) / 2
    painted = np.where(mask, 0.3, 0.8)
    (plain,), (lesion,) = measure(mask).lesions, measure(mask, image=painted).lesions
    assert lesion.percent_diameter_stenosis == plain.percent_diameter_stenosis


@pytest.mark.parametrize("image", [np.zeros((70, 239)), np.full((70, 240), np.nan)])
def test_a_wrong_image_is_refused(image: np.ndarray):
    with pytest.raises(ValueError, match=r"expected a finite image in the shape \(70, 240\)"):
        measure(np.zeros((70, 240)), image=image)


def test_a_drawing_shows_no_depth():
    columns = np.arange(10, 230, 0.5)
    points = np.column_stack([np.full(len(columns), MIDDLE), columns])
    lines = (np.tile([1.0, 0.0], (len(columns), 1)), np.full(len(columns), 12.0), np.full(len(columns), True))
    assert shows_depth(shadow(np.full(240, 12.0)), points, *lines)
    drawing = 0.8 - 0.5 * (np.abs(ROWS - MIDDLE) < 6)
    assert not shows_depth(drawing, points, *lines)
    assert measure(np.abs(ROWS - MIDDLE) < 6, image=drawing).profiles[0].reading_error_px == 0
