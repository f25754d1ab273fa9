"""Counts against a plain loop, and what the weights promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import class_weights
from monai_lora_sam.data.class_weights import class_counts


def _labels(folder: Path) -> list[dict]:
    first, second = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    first[:4, :4], second[0, 0], second[5:, :] = 1, 2, 1
    paths = [folder / "a.png", folder / "b.png"]
    for path, label in zip(paths, (first, second), strict=True):
        Image.fromarray(label).save(path)
    return [{"label": str(path)} for path in paths]


def test_counts_images_and_pixels(tmp_path):
    entries = _labels(tmp_path)
    assert class_counts([*entries, entries[0]], 4).tolist() == [[3, 3, 1, 0], [84 + 84 + 49, 82, 1, 0]]


def test_weights_are_inverse_roots_with_mean_one_over_named_pixels(tmp_path):
    weights = np.array(class_weights(_labels(tmp_path), 4, largest=100.0))
    np.testing.assert_allclose(weights[2] / weights[1], np.sqrt(66 / 1), rtol=1e-3)
    np.testing.assert_allclose(weights[0] / weights[1], np.sqrt(66 / 133), rtol=1e-3)
    np.testing.assert_allclose((66 * weights[1] + weights[2]) / 67, 1.0, rtol=1e-3)
    assert weights[3] == weights[2], "a class that never occurs has the largest weight that occurs"


def test_largest_weight_is_held(tmp_path):
    assert max(class_weights(_labels(tmp_path), 4, largest=2.0)) == 2.0


def test_unknown_class_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"b\.png: expected labels 0\.\.1.*found \[2\]"):
        class_weights(_labels(tmp_path), 2)


def test_no_named_pixel(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(ValueError, match="classes 1 to 25, found none in 1"):
        class_weights([{"label": str(tmp_path / "empty.png")}], 26)
