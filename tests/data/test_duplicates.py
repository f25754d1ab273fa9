from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.data import duplicate_groups, image_signature, pixel_hash


def _frame(seed):
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((128, 128)), 6)
    return ((field - field.min()) / np.ptp(field) * 255).astype(np.uint8)


def test_equal_pixels_have_equal_hashes_whatever_the_type():
    frame = _frame(0)
    assert pixel_hash(frame / 255) == pixel_hash((frame / 255).astype(np.float32))
    assert pixel_hash(frame / 255) != pixel_hash(frame.T / 255)
    other = frame.copy()
    other[5, 5] ^= 1
    assert pixel_hash(other / 255) != pixel_hash(frame / 255)
    assert pixel_hash(np.zeros((4, 6))) != pixel_hash(np.zeros((6, 4)))


def test_reencoded_and_scaled_copies_are_grouped_and_other_frames_are_not():
    frame = _frame(0)
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=60)
    jpeg = np.asarray(Image.open(buffer))
    assert (jpeg != frame).mean() > 0.3
    smaller = np.asarray(Image.fromarray(frame).resize((96, 96), Image.Resampling.BOX))
    moved = shift(frame.astype(float), (2, 1), mode="nearest")  # As in the next frame of the run.
    images = [frame, jpeg, smaller, moved, _frame(1), np.zeros((128, 128)), np.full((128, 128), 9)]
    names = duplicate_groups([image_signature(image / 255) for image in images])
    assert names[0] == names[1] == names[2]
    assert len(set(names)) == 5
    backwards = duplicate_groups([image_signature(image / 255) for image in reversed(images)])
    assert backwards[::-1] == names
    assert duplicate_groups([]) == []


def test_arcades_two_tasks_share_reencoded_images(shared_data):
    arcade = shared_data / "arcade"
    paths = [
        arcade / "stenosis/train/images/308.png",
        arcade / "syntax/val/images/37.png",
        arcade / "stenosis/train/images/676.png",
        arcade / "syntax/train/images/162.png",
        arcade / "syntax/train/images/208.png",
        arcade / "syntax/train/images/38.png",
    ]
    names = duplicate_groups([image_signature(read_angiogram(path).pixels) for path in paths])
    assert names[0] == names[1]
    assert names[2] == names[3]
    assert names[4] != names[5]  # Two frames of one run: alike, but not the same.
