from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from monai_lora_sam.coronary.transforms import PolygonsToMaskd, polygon_area, polygons_to_mask


def _star(rng, centre, points=9):
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    radii = rng.uniform(4, 24, points)
    return np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], 1)


def test_a_rectangle_is_exact():
    mask = polygons_to_mask([[[2, 1, 6, 1, 6, 4, 2, 4]]], [5], (8, 9))
    expected = np.zeros((8, 9))
    expected[1:4, 2:6] = 5
    np.testing.assert_array_equal(mask, expected)


def test_a_pixel_belongs_when_its_centre_lies_inside():
    covers_centres = [[0.4, 0.4, 1.6, 0.4, 1.6, 1.6, 0.4, 1.6]]
    misses_centres = [[0.6, 0.6, 1.4, 0.6, 1.4, 1.4, 0.6, 1.4]]
    assert polygons_to_mask([covers_centres], [1], (4, 4)).sum() == 4
    assert polygons_to_mask([misses_centres], [1], (4, 4)).sum() == 0


def test_random_polygons_agree_with_pillow_on_a_fine_grid():
    rng, fine = np.random.default_rng(1), 65  # Odd, so that a fine pixel sits on each coarse centre.
    for _ in range(10):
        xy = _star(rng, rng.uniform(20, 40, 2))
        canvas = Image.new("L", (60 * fine, 60 * fine))
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in xy * fine - 0.5], fill=1)
        expected = np.asarray(canvas)[fine // 2 :: fine, fine // 2 :: fine]
        mask = polygons_to_mask([[xy.ravel().tolist()]], [1], (60, 60))
        assert (mask != expected).sum() <= 3  # Pillow paints the outline, too: a 65th of a pixel.


def test_the_area_is_the_polygons_own_on_average():
    rng = np.random.default_rng(2)
    rings = [_star(rng, (32, 32), points=12).ravel().tolist() for _ in range(200)]
    drawn = sum(int(polygons_to_mask([[ring]], [1], (64, 64)).sum()) for ring in rings)
    assert drawn == pytest.approx(sum(map(polygon_area, rings)), rel=0.003)


def test_the_smaller_polygon_is_on_top_whatever_the_order():
    large, small = [[0, 0, 8, 0, 8, 8, 0, 8]], [[2, 2, 4, 2, 4, 4, 2, 4]]
    one = polygons_to_mask([large, small], [1, 2], (8, 8))
    other = polygons_to_mask([small, large], [2, 1], (8, 8))
    np.testing.assert_array_equal(one, other)
    assert (one == 2).sum() == 4
    assert (one == 1).sum() == 60


def test_rings_of_one_polygon_are_united():
    rings = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 4, 1, 4]]
    assert polygons_to_mask([rings], [1], (5, 5)).sum() == 4 + 9 - 1


def test_bad_rings_are_refused():
    with pytest.raises(ValueError, match="expected at least 3 finite points x, y, found 4 numbers"):
        polygons_to_mask([[[0, 0, 1, 1]]], [1], (4, 4))
    with pytest.raises(ValueError, match="expected at least 3 finite points"):
        polygons_to_mask([[[0, 0, 1, float("nan"), 2, 2]]], [1], (4, 4))
    with pytest.raises(ValueError, match="expected one value for each polygon, found 2 for 1"):
        polygons_to_mask([[[0, 0, 1, 0, 1, 1]]], [1, 2], (4, 4))


def test_transform_takes_the_images_size():
    item = {
        "image": torch.zeros(1, 6, 7),
        "lesions": [
            {"polygons_xy": [[0, 0, 2, 0, 2, 2, 0, 2]]},
            {"polygons_xy": [[3, 3, 4, 3, 4, 4, 3, 4]], "value": 9},
        ],
    }
    mask = PolygonsToMaskd(keys="lesions")(item)["lesions"]
    assert mask.shape == (1, 6, 7)
    assert mask.dtype == torch.uint8
    assert (mask == 1).sum() == 4
    assert mask[0, 3, 3] == 9


def test_published_polygons_keep_their_area(shared_data):
    content = json.loads((shared_data / "arcade/stenosis/train/annotations/train.json").read_text())
    annotations = content["annotations"][:60]
    drawn = [int(polygons_to_mask([a["segmentation"]], [1], (512, 512)).sum()) for a in annotations]
    published = [a["area"] for a in annotations]
    np.testing.assert_allclose(np.mean(drawn), np.mean(published), rtol=0.01)
