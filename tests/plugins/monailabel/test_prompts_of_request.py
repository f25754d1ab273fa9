"""Prompts in the forms of OHIF, Slicer and scripts."""

from __future__ import annotations

import pytest

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_app.errors import Refused
from label_app.prompts_of_request import box_of_roi, prompts_of, slices_of


def test_points_as_ohif_sends_them() -> None:
    (found,) = prompts_of({"foreground": [[20, 30, 4], [21, 30, 4]], "background": [[1, 2, 4]]}, depth=9)
    assert found.points == ((20.0, 30.0, 1), (21.0, 30.0, 1), (1.0, 2.0, 0))
    assert found.slice_index == 4


def test_points_of_a_picture_have_no_slice() -> None:
    (found,) = prompts_of({"foreground": [[20, 30, 0]], "background": []})
    assert (found.points, found.slice_index) == (((20.0, 30.0, 1),), None)


def test_lists_as_text() -> None:
    (found,) = prompts_of({"foreground": "[[20, 30]]", "background": ""})
    assert found.points == ((20.0, 30.0, 1),)


def test_a_region_of_interest_of_slicer_is_a_box_in_its_middle_slice() -> None:
    request = {"roi": [10, 60, 20, 90, 3, 5]}
    (found,) = prompts_of(request, depth=9)
    assert (found.box, found.slice_index) == ((10, 20, 60, 90), 4)
    assert slices_of(request) == (3, 5)


@pytest.mark.parametrize(
    ("roi", "box"),
    [
        ([10, 20, 60, 90], (10, 20, 60, 90)),
        ([10, 60, 20, 40], (10, 20, 60, 40)),
        ([10, 20, 60, 90, 60, 80], (10, 60, 20, 90)),
        ([60, 20, 90, 40, 0, 1], (60, 20, 90, 40)),
    ],
)
def test_both_orders_of_a_box(roi, box) -> None:
    assert box_of_roi(roi) == box


def test_several_objects() -> None:
    objects = [{"name": "one", "box": [1, 2, 3, 4]}, {"points": [[5, 6, 0], [7, 8]], "slice": 2}]
    (one,), (two,) = prompts_of({"objects": objects[:1]}), prompts_of({"objects": objects[1:]}, depth=3)
    assert (one.name, one.box) == ("one", (1, 2, 3, 4))
    assert (two.name, two.points, two.slice_index) == ("object 1", ((5, 6, 0), (7, 8, 1)), 2)


@pytest.mark.parametrize(
    ("request_", "depth", "message"),
    [
        ({}, None, "expected a box, points or text"),
        ({"foreground": [[1]]}, None, "foreground: expected 2 or 3 numbers"),
        ({"foreground": "[[1"}, None, "foreground: expected a list"),
        ({"foreground": {"a": 1}}, None, "foreground: expected a list of points"),
        ({"foreground": [[1, 2, 0], [1, 2, 3]]}, 9, "in one slice"),
        ({"foreground": [[1, 2, 9]]}, 9, "expected a slice from 0 to 8"),
        ({"foreground": [[1, 2]]}, 9, "expected a slice from 0 to 8"),
        ({"roi": [3, 3, 3, 3]}, None, "roi: expected x0 < x1"),
        ({"roi": ["a", 1, 2, 3]}, None, "roi: expected 4 or 6 numbers"),
        ({"objects": [{"nmae": "a"}]}, None, "object 1: expected name"),
        ({"objects": [{"name": "a", "box": [1, 2, 3]}]}, None, "a: expected a box"),
        ({"objects": [{"name": "a", "box": [1, 2, 3, 4]}] * 2}, None, "a name of its own"),
        ({"objects": [{"name": "a", "box": [1, 2, 3, 4], "slice": 3}]}, None, "expected no slice"),
        ({"objects": [{"points": [[1, 2, 1]]}] * 256}, None, "expected up to 255"),
    ],
)
def test_bad_prompts_are_named(request_, depth, message: str) -> None:
    with pytest.raises(Refused, match=message):
        prompts_of(request_, depth)
