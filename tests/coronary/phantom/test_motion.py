"""The beating heart and the bolus against their definitions and the continuity of matter."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom.heart import draw_heart
from monai_lora_sam.coronary.phantom.motion import Bolus, HeartMotion
from monai_lora_sam.coronary.polyline import Polyline

HEART = draw_heart(np.random.default_rng(0))
MOTION = HeartMotion(period_s=0.8, shortening_mm=12.0, narrowing=0.15, twist_deg=10.0)
END_SYSTOLE_S = 0.35 * 0.8


def test_the_heart_beats_periodically_and_rests_in_diastole():
    points = HEART.surface(np.linspace(-8, 88, 30), np.linspace(0, 300, 30))
    for time_s in (0.0, 0.11, 0.3, 0.6):
        np.testing.assert_allclose(
            MOTION.move(points, HEART, time_s), MOTION.move(points, HEART, time_s + 1.6), atol=1e-9
        )
    for phase in (0.0, 0.56, 0.8, 0.999):
        np.testing.assert_allclose(MOTION.move(points, HEART, phase * 0.8), points, atol=1e-4)
    assert MOTION.contraction(END_SYSTOLE_S) == pytest.approx(1.0)


def test_at_end_systole_the_apex_stays_and_the_valve_plane_comes_down():
    apex, groove = HEART.surface(90.0, 0.0)[None], HEART.surface(-8.0, np.arange(0, 360, 30.0))
    np.testing.assert_allclose(MOTION.move(apex, HEART, END_SYSTOLE_S), apex, atol=1e-9)
    moved = MOTION.move(groove, HEART, END_SYSTOLE_S)
    np.testing.assert_allclose((moved - groove) @ HEART.apex_axis, 12.0, atol=1e-9)

    def radius(points):
        return np.linalg.norm(points - np.outer(points @ HEART.apex_axis, HEART.apex_axis), axis=1)

    np.testing.assert_allclose(radius(moved) / radius(groove), 0.85, atol=1e-9)


def test_motion_is_continuous_in_time_and_keeps_vessels_whole():
    line = HEART.surface(np.linspace(-30, 85, 400), np.full(400, 105.0))
    times = np.arange(0, 1.6, 0.002)
    path = np.stack([MOTION.move(line, HEART, time) for time in times])
    assert np.linalg.norm(np.diff(path, axis=0), axis=2).max() < 0.5  # mm in 2 ms
    lengths = [Polyline(points).length for points in path]
    assert 0.75 < min(lengths) / max(lengths) <= 1.0


def test_the_front_runs_at_its_velocity_and_washes_out():
    bolus = Bolus(start_s=0.5, stop_s=2.5, velocity_mm_s=100.0, rise_s=0.2, washout_s=0.3)
    distance = np.array([0.0, 50.0, 150.0])
    assert not bolus.concentration(distance, 0.5).any()
    # Half full half a rise after the front has come: 0.1 s after 0.5 s + distance / velocity.
    for place in distance:
        assert bolus.concentration(place, 0.6 + place / 100.0) == pytest.approx(0.5)
    np.testing.assert_allclose(bolus.concentration(distance, 2.3), 1.0)
    assert bolus.concentration(0.0, 2.5 + 0.3) == pytest.approx(np.exp(-1))
    assert bolus.concentration(150.0, 2.5 + 1.5 + 0.3) == pytest.approx(np.exp(-1))
