"""Frames as grey levels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.images import Frames

EIGHT_BIT = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(0, 4096, (4, 5, 6), dtype=np.uint16)


def test_frames_slices_and_arrays_agree():
    frames = Frames(EIGHT_BIT, eight_bit=True, inverted=False)
    assert len(frames) == 4 and frames.shape == (4, 5, 6)
    np.testing.assert_allclose(np.asarray(frames), EIGHT_BIT / 255, atol=1e-7)
    np.testing.assert_array_equal(frames[1:3], np.stack([frames[1], frames[2]]))
    np.testing.assert_array_equal(np.stack(list(frames)), frames[:])
    assert frames[4:].shape == (0, 5, 6)
    with pytest.raises(IndexError):
        frames[4]


def test_inverted_frames_are_the_complement():
    plain, inverted = (Frames(EIGHT_BIT, True, inverted)[:] for inverted in (False, True))
    np.testing.assert_allclose(inverted, 1 - plain)


def test_deep_frames_share_one_window():
    low, high = np.percentile(DEEP, (0.1, 99.9))
    expected = np.clip((DEEP - low) / (high - low), 0, 1)
    np.testing.assert_allclose(Frames(DEEP, False, False)[:], expected, atol=1e-6)
