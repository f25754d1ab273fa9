"""Boxes and rings against shapely's bounds, and bad ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from shapely import Polygon

from monai_lora_sam.coronary.boxes import box_around, box_centre, check_box, ring_points

RING = [1.0, 2.0, 7.5, 3.0, 4.0, 9.0]


def test_box_and_points_are_those_of_shapely():
    polygon = Polygon(ring_points(RING))
    box = box_around([RING])
    assert tuple(box) == polygon.bounds
    centre = polygon.envelope.centroid
    assert box_centre(box) == pytest.approx((centre.x, centre.y))
    assert box_around([RING, [0, 5, 1, 5, 1, 6]]) == [0, 2.0, 7.5, 9.0]


def test_points_keep_their_order():
    points = ring_points(RING)
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, [[1, 2], [7.5, 3], [4, 9]])


@pytest.mark.parametrize("ring", [[0, 0, 1, 1], [0, 0, 1, 1, 2, 2, 3], [0, 0, 1, 0, 1, math.nan]])
def test_bad_rings_are_refused(ring):
    with pytest.raises(ValueError, match="lesion 3: expected at least 3 finite points x, y, found"):
        ring_points(ring, "lesion 3")


def test_boxes_become_numbers():
    assert check_box((1, 2, 5, 4), "lesion 0") == (1.0, 2.0, 5.0, 4.0)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (None, r"expected box_xyxy \[x0, y0, x1, y1\], found None"),
        ([1, 2, 3], "expected box_xyxy"),
        ([5, 2, 1, 4], "expected a finite box_xyxy with x0 < x1 and y0 < y1"),
        ([1, 2, 5, math.inf], "expected a finite box_xyxy"),
    ],
)
def test_bad_boxes_are_refused(box, message):
    with pytest.raises(ValueError, match=f"lesion 0: {message}"):
        check_box(box, "lesion 0")
