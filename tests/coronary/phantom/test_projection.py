"""The C-arm's geometry against DICOM and a ruler."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom.projection import CArm


def arm(primary: float = 0.0, secondary: float = 0.0, **changes: float) -> CArm:
    values = {"source_detector_mm": 1000.0, "source_patient_mm": 750.0, "imager_spacing_mm": 0.4} | changes
    return CArm(primary, secondary, **values, shape=(512, 512))


LEFT, FRONT, HEAD = np.array([10.0, 0, 0]), np.array([0, -10.0, 0]), np.array([0, 0, 10.0])


def shown(view: CArm, point: np.ndarray) -> np.ndarray:
    """Return how far a point lies below and to the right of the picture's middle, in pixels."""
    return view.project(point)[0] - 255.5


def test_the_anterior_view_shows_the_patients_left_on_the_right_and_the_head_on_top() -> None:
    assert shown(arm(), LEFT)[1] > 0
    assert shown(arm(), HEAD)[0] < 0
    np.testing.assert_allclose(shown(arm(), FRONT), 0, atol=1e-9)


def test_lao_moves_a_point_in_front_to_the_left_and_rao_to_the_right() -> None:
    assert shown(arm(45), FRONT)[1] < 0 < shown(arm(-45), FRONT)[1]
    # From the pure left lateral view the front of the patient is on the left.
    np.testing.assert_allclose(shown(arm(90), LEFT), 0, atol=1e-9)


def test_cranial_moves_a_point_in_front_down_and_caudal_up() -> None:
    assert shown(arm(0, 30), FRONT)[0] > 0 > shown(arm(0, -30), FRONT)[0]


def test_the_detector_stands_where_the_angles_say() -> None:
    np.testing.assert_allclose(arm(0, 0).axes[2], [0, -1, 0], atol=1e-12)  # in front of the patient
    np.testing.assert_allclose(arm(90, 0).axes[2], [1, 0, 0], atol=1e-12)  # at the patient's left
    np.testing.assert_allclose(arm(0, 90).axes[2], [0, 0, 1], atol=1e-12)  # over the head
    for primary, secondary in ((-30, -20), (45, 25), (120, -40)):
        axes = np.stack(arm(primary, secondary).axes)
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(
            np.linalg.det(axes), -1.0
        )  # columns, rows, towards the viewer: left-handed


def test_magnification_follows_similar_triangles() -> None:
    view = arm()
    assert view.pixel_spacing_mm == pytest.approx(0.4 * 750 / 1000)
    assert shown(view, LEFT)[1] == pytest.approx(10 / 0.3)
    nearer_detector = LEFT + np.array([0, -50.0, 0])
    pixel, depth = view.project(nearer_detector)
    assert depth == pytest.approx(800.0)
    assert pixel[1] - 255.5 == pytest.approx(10 * 1000 / 800 / 0.4)


def test_impossible_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match="source-patient distance"):
        arm(source_patient_mm=1200.0)
    with pytest.raises(ValueError, match="imager spacing"):
        arm(imager_spacing_mm=0.0)
    with pytest.raises(ValueError, match="in front of the source"):
        arm().project(np.array([0.0, 800.0, 0.0]))
