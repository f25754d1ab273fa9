"""Names beside segments and boxes: near, inside the picture, off each other."""

from __future__ import annotations

import itertools

import numpy as np

from monai_lora_sam.report.labels import label_box, place_box_labels, place_labels


def apart(one, other) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_names_lie_beside_their_segments_and_off_each_other():
    segments = np.zeros((120, 160), dtype=np.uint8)
    segments[20:26, 10:150] = 6
    segments[40:44, 20:140] = 9
    segments[60:63, 30:100] = 10
    names = {6: "6", 9: "9", 10: "9a"}
    places = place_labels(segments, names)
    assert set(places) == set(names)
    boxes = [label_box(names[number], place) for number, place in places.items()]
    assert all(apart(one, other) for one, other in itertools.combinations(boxes, 2))
    for number, (x, y) in places.items():
        assert segments[int(y), int(x)] == 0  # beside the vessel, not on it
        distance = np.hypot(*(np.argwhere(segments == number) - [y, x]).T).min()
        assert distance < 26


def test_a_name_without_room_or_segment_is_left_out():
    segments = np.zeros((12, 12), dtype=np.uint8)
    segments[5, 2:9] = 6
    assert place_labels(segments, {6: "6", 7: "7"}) == {}


def test_taken_places_are_kept_free():
    segments = np.zeros((64, 64), dtype=np.uint8)
    segments[30:34, 8:56] = 6
    taken = label_box("6", place_labels(segments, {6: "6"})[6])
    assert apart(label_box("6", place_labels(segments, {6: "6"}, [taken])[6]), taken)


def test_names_of_boxes_do_not_hide_each_other():
    boxes = {1: [40, 40, 60, 60], 2: [42, 42, 62, 62], 3: [0, 0, 10, 10]}
    names = {number: f"{number} · 70 %" for number in boxes}
    places = place_box_labels(boxes, names, (100, 160))
    covered = [label_box(names[number], place) for number, place in places.items()]
    assert all(apart(one, other) for one, other in itertools.combinations(covered, 2))
    assert all(box[0] >= 0 and box[1] >= 0 for box in covered)
