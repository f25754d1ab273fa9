"""Calibration: a catheter of known size drawn by formula, and what each method says of itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.qca.calibration import (
    EXPECTED_ERRORS,
    Calibration,
    calibrate_by_catheter,
    catheter_widths,
)

SIZE, MIDDLE = 160, 79.6


def catheter(
    width: float, angle: float, blur: float = 0.8, wall: float = 1.0, noise: float = 0.0
) -> np.ndarray:
    """Draw a tube by transmission: the chord of its outer circle, less that of a bore of (1 - wall) of it.

    On four times as fine a grid, averaged over the pixels, then blurred as by a focal spot.
    """
    fine = (np.arange(4 * SIZE) + 0.5) / 4 - 0.5 - MIDDLE
    radians = math.radians(angle)
    across = fine[:, None] * math.cos(radians) - fine[None, :] * math.sin(radians)

    def chord(radius: float) -> np.ndarray:
        return 2 * np.sqrt(np.maximum(radius**2 - across**2, 0))

    depth = chord(width / 2) - (chord(width / 2 * (1 - wall)) if wall < 1 else 0)
    depth = depth.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    image = 180.0 - 60.0 * depth / width + 0.1 * np.arange(SIZE)[:, None]
    rng = np.random.default_rng(3)
    return gaussian_filter(image, blur) + noise * rng.standard_normal(image.shape)


def points(angle: float, off: float = 0.0) -> list[tuple[float, float]]:
    radians = math.radians(angle)
    along, across = (
        np.array([math.sin(radians), math.cos(radians)]),
        np.array([math.cos(radians), -math.sin(radians)]),
    )
    return [tuple(MIDDLE + t * along + off * across) for t in (-40.0, 0.0, 40.0)]


@pytest.mark.parametrize("angle", [23, 45, 80])
@pytest.mark.parametrize("width", [8.0, 14.0])
def test_width_of_a_solid_catheter(angle, width):
    measured = np.median(catheter_widths(catheter(width, angle), points(angle)))
    assert measured == pytest.approx(width, rel=0.04)


@pytest.mark.parametrize("blur", [0.4, 0.8])
@pytest.mark.parametrize("wall", [0.15, 0.3])
def test_width_of_an_empty_catheter(blur, wall):
    measured = np.median(catheter_widths(catheter(9.0, 30, blur, wall), points(30)))
    assert measured == pytest.approx(9.0, rel=0.05)


def test_spacing_from_french_in_noise_and_with_points_beside_the_middle():
    # 6 French are 2 mm; 8 px of them are 0.25 mm per pixel.
    calibration = calibrate_by_catheter(catheter(8.0, 30, noise=2.0), points(30, off=1.5), french=6)
    assert calibration.pixel_spacing_mm == pytest.approx(0.25, rel=0.05)
    assert calibration.method == "catheter" and "6 French" in calibration.detail
    assert calibration.expected_error_percent >= EXPECTED_ERRORS["catheter"][0]


def test_a_bright_catheter_is_measured_as_well():
    picture = catheter(8.0, 30)
    dark = calibrate_by_catheter(picture, points(30), 6).pixel_spacing_mm
    assert calibrate_by_catheter(255 - picture, points(30), 6).pixel_spacing_mm == pytest.approx(
        dark, rel=1e-3
    )


def test_calibration_says_its_method_and_error():
    row = Calibration.of(0.21, "distances").to_json()
    assert row["pixel_spacing_mm"] == 0.21 and row["method"] == "distances"
    assert row["expected_error_percent"] == EXPECTED_ERRORS["distances"][0]
    assert "isocentre" in row["expected_error_source"]
    own = Calibration(0.3, "given by hand", 1.0, "a ruler").to_json()
    assert own["expected_error_percent"] == 1.0 and "expected_error_source" not in own
    assert own["detail"] == "a ruler"


def test_every_source_of_a_dicom_spacing_has_an_error():
    from monai_lora_sam.coronary.images.dicom_acquisition import SPACING_SOURCES

    assert set(SPACING_SOURCES) < set(EXPECTED_ERRORS)


@pytest.mark.parametrize(
    ("spacing", "method", "error", "message"),
    [
        (0.0, "distances", 1.0, "expected 0.05 to 2 mm per pixel at the patient, found 0"),
        (float("nan"), "distances", 1.0, "pixel spacing: expected 0.05 to 2 mm .*, found nan"),
        (0.0003, "distances", 1.0, "found 0.0003"),
        (0.3, "guess", 1.0, "'guess'"),
        (0.3, "distances", -1.0, "error of 0 to 100 %"),
    ],
)
def test_bad_calibrations(spacing, method, error, message):
    with pytest.raises(ValueError, match=message):
        Calibration(spacing, method, error)


@pytest.mark.parametrize(
    ("where", "french", "message"),
    [
        ([(40, 40)], 6, "two or more points"),
        ([(40, 40), (45, 40)], 6, "at least 15 px"),
        ([(40, 40), (400, 40)], 6, "within the image"),
        ([(40, 40), (120, 40)], 60, "3 to 12 French"),
    ],
)
def test_bad_catheters(where, french, message):
    with pytest.raises(ValueError, match=message):
        calibrate_by_catheter(catheter(8.0, 30), where, french)


def test_no_catheter_there():
    with pytest.raises(ValueError, match="edges of a catheter"):
        calibrate_by_catheter(np.full((SIZE, SIZE), 128.0), points(30), 6)
    noise = np.random.default_rng(0).normal(128, 10, (SIZE, SIZE))
    with pytest.raises(ValueError, match="edges"):
        calibrate_by_catheter(noise, points(30), 6)
    with pytest.raises(ValueError, match="shape"):
        calibrate_by_catheter(np.zeros((4, 4, 3)), points(30), 6)
