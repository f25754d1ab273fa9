"""Phantom cines: their truth against the single phantom, against the pictures, and from file to file."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom import PhantomConfig, generate_cine, generate_phantom

SMALL = PhantomConfig(image_size=96, lesion_probability=1.0, background=False, side="left")


@pytest.fixture(scope="module")
def cine():
    return generate_cine(3, SMALL, frames=14)


def test_the_same_seed_gives_the_same_bytes():
    config = PhantomConfig(image_size=64)
    first, again = (generate_cine(5, config, frames=3) for _ in range(2))
    assert first.images.shape == (3, 64, 64) and first.images.dtype == np.uint8
    assert first.images.tobytes() == again.images.tobytes()
    assert first.images.tobytes() != generate_cine(6, config, frames=3).images.tobytes()


def test_a_still_cine_has_the_phantoms_own_geometry():
    phantom = generate_phantom(3, SMALL)
    still = generate_cine(3, SMALL, frames=2, motion=0.0)
    for frame in still.frames:
        assert frame.motion_px == 0
        np.testing.assert_array_equal(frame.phantom.vessel_mask, phantom.vessel_mask)
        np.testing.assert_array_equal(frame.phantom.segment_mask, phantom.segment_mask)
        assert frame.phantom.lesions == phantom.lesions
    assert still.arm == phantom.arm


def test_resting_frames_are_the_phantom_and_beating_ones_are_not(cine):
    phantom = generate_phantom(3, SMALL)
    resting = [frame for frame in cine.frames if 0.6 < frame.phase < 0.95]
    beating = [frame for frame in cine.frames if 0.2 < frame.phase < 0.45]
    assert resting and beating
    for frame in resting:
        np.testing.assert_array_equal(frame.phantom.vessel_mask, phantom.vessel_mask)
    for frame in beating:
        assert (frame.phantom.vessel_mask != phantom.vessel_mask).any()


def test_the_stated_motion_is_that_of_the_centrelines(cine):
    for before, frame, after in zip(cine.frames, cine.frames[1:], cine.frames[2:], strict=False):
        moved = [
            np.linalg.norm(last.points_rc_px - first.points_rc_px, axis=1)
            for first, last in zip(before.phantom.centrelines, after.phantom.centrelines, strict=True)
        ]
        # Two frames' path as the crow flies is no longer than the sum of its parts.
        parts = before.motion_px / 2 + frame.motion_px + after.motion_px / 2
        assert np.concatenate(moved).mean() <= 1.15 * parts + 0.05
    assert max(frame.motion_px for frame in cine.frames) > 0.5


def test_contrast_runs_in_from_the_ostium_stays_and_leaves(cine):
    filling = np.array([frame.filling for frame in cine.frames])
    assert filling[0] == 0 and filling.max() > 0.99 and filling[-1] < 0.6
    fullest = int(np.argmax(filling))
    assert (np.diff(filling[: fullest + 1]) >= 0).all()
    for frame in cine.frames:
        assert not (frame.filled_mask & ~frame.phantom.vessel_mask).any()
    assert not cine.frames[0].filled_mask.any()
    full = cine.frames[fullest]
    np.testing.assert_array_equal(full.filled_mask, full.phantom.vessel_mask)
    # While it runs in, what is filled lies closer to the ostium than what is not.
    half = min(cine.frames[:fullest], key=lambda frame: abs(frame.filling - 0.5))
    ostium = half.phantom.centrelines[0].points_rc_px[0]

    def distance(mask):
        return np.linalg.norm(np.argwhere(mask) - ostium, axis=1).mean()

    assert distance(half.filled_mask) < distance(half.phantom.vessel_mask & ~half.filled_mask)


def test_filled_vessels_are_dark_and_empty_ones_are_not_seen(cine):
    def contrast(frame):
        image, mask = frame.phantom.image.astype(float), frame.phantom.vessel_mask
        return image[~mask].mean() - image[mask].mean()

    fullest = max(cine.frames, key=lambda frame: frame.filling)
    assert contrast(fullest) > 20
    assert abs(contrast(cine.frames[0])) < 3


def test_every_frame_has_the_same_lesions_at_its_own_place(cine):
    first = cine.frames[0].phantom.lesions
    assert first
    for frame in cine.frames:
        for lesion, other in zip(frame.phantom.lesions, first, strict=True):
            assert lesion.percent_diameter_stenosis == other.percent_diameter_stenosis
            assert lesion.minimum_lumen_diameter_px == pytest.approx(
                other.minimum_lumen_diameter_px, rel=0.05
            )
            nearest = min(
                np.linalg.norm(line.points_rc_px - lesion.centre_rc_px, axis=1).min()
                for line in frame.phantom.centrelines
            )
            assert nearest < 1e-6
    assert len({frame.phantom.lesions[0].centre_rc_px for frame in cine.frames}) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "a seed from 0 on, found -1"),
        ({"seed": 1, "frames": 1}, "at least 2 frames, found 1"),
        ({"seed": 1, "frames_per_second": 0.0}, "a positive frame rate"),
        ({"seed": 1, "motion": -1.0}, "motion from 0 on"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate_cine(**arguments)
