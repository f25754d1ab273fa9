"""Outlines, overlays and colours against the mask's own geometry."""

from __future__ import annotations

import re

import numpy as np
import pytest
from skimage.color import rgb2lab

from monai_lora_sam.report import pictures


def test_overlay_leaves_the_vessel_and_the_rest_visible():
    image = np.random.default_rng(0).random((40, 60))
    mask = np.zeros((40, 60), dtype=bool)
    mask[20:22, 10:50] = True
    drawn = pictures.overlay(image, mask)
    assert (drawn[mask] == np.rint(image[mask] * 255)[:, None]).all()
    outlined = (drawn == pictures.OUTLINE).all(axis=-1)
    assert outlined.sum() == 4 * 42 - 2 * 40  # the frame around 2 by 40 pixels
    assert (drawn[~outlined] == np.rint(image[~outlined] * 255)[:, None]).all()


def test_outline_path_encloses_the_area_of_the_mask():
    rows, columns = np.mgrid[:100, :100]
    mask = np.hypot(rows - 50, columns - 40) < 30
    path = pictures.outline_path(mask)
    assert path.count("M") == path.count("Z") == 1
    x, y = np.array(re.findall(r"[\d.]+", path), dtype=float).reshape(-1, 2).T
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert area == pytest.approx(mask.sum(), rel=0.02)
    # In SVG the middle of pixel (row 50, column 40) lies at x 40.5, y 50.5.
    assert (x.min() + x.max()) / 2 == pytest.approx(40.5, abs=0.1)
    assert (y.min() + y.max()) / 2 == pytest.approx(50.5, abs=0.1)


def test_outline_path_closes_at_the_border_and_around_holes():
    mask = np.ones((10, 10), dtype=bool)
    mask[4:6, 4:6] = False
    assert pictures.outline_path(mask).count("Z") == 2
    assert pictures.outline_path(np.zeros((10, 10), dtype=bool)) == ""


def test_heat_grows_lighter_all_the_way():
    colours = pictures.heat(np.linspace(0, 1, 64)[None])
    assert colours.dtype == np.uint8
    assert (np.diff(rgb2lab(colours)[0, :, 0]) > 0).all()
