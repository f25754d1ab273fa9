"""Frames share one window, and are given when they are asked for."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.images import Frames

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 4000, (3, 5, 6)).astype(np.uint16)


def test_one_window_over_all_frames():
    frames = Frames(DEEP, eight_bit=False, inverted=False)
    low, high = np.percentile(DEEP, (0.1, 99.9))
    expected = np.clip((DEEP - low) / (high - low), 0, 1)
    np.testing.assert_allclose(np.asarray(frames), expected, atol=1e-6)
    np.testing.assert_allclose(frames[1], expected[1], atol=1e-6)
    assert frames.shape == (3, 5, 6) and len(frames) == 3


def test_parts_and_no_part():
    frames = Frames(DEEP, eight_bit=False, inverted=False)
    assert np.array_equal(frames[1:], np.stack([frames[1], frames[2]]))
    assert frames[3:].shape == (0, 5, 6)
    assert sum(1 for _ in frames) == 3


def test_eight_bits_need_no_window_and_inversion_turns_levels():
    stored = (DEEP // 16).astype(np.uint8)
    plain, turned = (Frames(stored, eight_bit=True, inverted=inverted)[0] for inverted in (False, True))
    np.testing.assert_allclose(plain, stored[0] / 255.0, atol=1e-6)
    np.testing.assert_allclose(plain + turned, 1.0, atol=1e-6)
