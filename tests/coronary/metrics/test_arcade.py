from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from shapely import Polygon

from monai_lora_sam.coronary.metrics import (
    instances_from_coco,
    lesions_to_instances,
    make_instance,
    score_arcade_segments,
    score_arcade_stenoses,
)

# The figures given by name as the published code's were printed by that code itself, on the same input, with
# shapely 2.2. The tolerance leaves room for another GEOS; here they agree in every bit.
LAST_BITS = 1e-12


def _star(x: float, y: float, radius: float, points: int = 9) -> list[float]:
    ring = []
    for i in range(points):
        r, angle = radius * (1 + 0.4 * math.sin(3.7 * i)), 2 * math.pi * i / points
        ring += [x + r * math.cos(angle), y + r * math.sin(angle)]
    return ring


def _square(x: float, y: float, side: float = 10) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def test_segments_official_is_the_published_codes():
    crossing = [0, 0, 200, 200, 200, 0, 0, 200]
    truth = [
        [
            make_instance(5, [_star(50, 50, 20)]),
            make_instance(6, [_star(100, 60, 15), _star(150, 60, 30)]),
            make_instance(13, [_star(40, 150, 25)]),
        ],
        [
            make_instance(1, [_star(60, 60, 30)]),
            make_instance(1, [_star(160, 60, 30)]),
            make_instance(2, [_star(60, 160, 12)]),
        ],
        [make_instance(7, [_star(80, 80, 22)]), make_instance(8, [_star(30, 30, 10)])],
        [make_instance(3, [crossing]), make_instance(4, [_star(100, 100, 40)])],
    ]
    prediction = [
        [
            make_instance(13, [_star(44, 151, 25)]),
            make_instance(5, [_star(52, 49, 18, 11)]),
            make_instance(6, [_star(150, 60, 30), _star(100, 60, 15)]),
        ],
        [make_instance(1, [_star(63, 58, 28)]), make_instance(1, [_star(160, 60, 30)])],
        [*truth[2], make_instance(9, [_star(200, 200, 5)])],
        [make_instance(4, [_star(110, 105, 40)]), make_instance(3, [_star(60, 100, 60)])],
    ]
    score = score_arcade_segments(truth, prediction, "official")
    published = [0.525358205019035, 0.44015975942524016, 0, 0.3791665148803115]
    assert score.per_image == pytest.approx(published, rel=LAST_BITS)
    assert score.f1 == pytest.approx(0.33617111983114667, rel=LAST_BITS)
    assert score.per_class[3] == pytest.approx(0.020538926783876848, rel=LAST_BITS)  # crosses itself
    assert score.skipped == 0


def test_stenoses_official_is_the_published_codes():
    truth = [
        [make_instance(26, [_star(50, 50, 20)]), make_instance(26, [_star(100, 60, 15)])],
        [make_instance(26, [_star(60, 60, 30)])],
        [make_instance(26, [_star(x, x, r)]) for x, r in ((80, 22), (30, 10), (150, 10))],
    ]
    prediction = [
        [make_instance(26, [_star(53, 52, 20)]), make_instance(26, [_star(48, 50, 19, 12)])],
        [make_instance(26, [_star(65, 60, 30)]), make_instance(26, [_star(200, 60, 30)])],
        [make_instance(26, [_star(35, 30, 12)])],
    ]
    score = score_arcade_stenoses(truth, prediction, "official")
    published = [0.8078460699402845, 0.41944527965948575, 0.2019288978187707]
    assert score.per_image == pytest.approx(published, rel=LAST_BITS)
    assert score.f1 == pytest.approx(0.47640674913951364, rel=LAST_BITS)


@pytest.mark.parametrize(
    ("task", "published", "score"),
    [
        ("syntax", 0.7226603300194745, score_arcade_segments),
        ("stenosis", 0.7793284847833807, score_arcade_stenoses),
    ],
)
def test_official_on_arcades_validation_images(shared_data, task, published, score):
    """The prediction is the truth shifted by (2, 1) pixels, without each seventh annotation."""
    path = shared_data / "arcade" / task / "val" / "annotations" / "val.json"
    content: dict[str, Any] = json.loads(path.read_text())
    shifted = copy.deepcopy(content)
    shifted["annotations"] = [a for number, a in enumerate(shifted["annotations"]) if number % 7]
    for annotation in shifted["annotations"]:
        annotation["segmentation"] = [
            [value + (1.0 if index % 2 else 2.0) for index, value in enumerate(ring)]
            for ring in annotation["segmentation"]
        ]
    truth, prediction = instances_from_coco(content), instances_from_coco(shifted)
    result = score(list(truth.values()), [prediction[name] for name in truth], "official")
    assert result.f1 == pytest.approx(published, rel=LAST_BITS)
    perfect = list(truth.values())
    for version in ("official", "corrected"):
        assert score(perfect, perfect, version).f1 == 1


def test_one_class_too_many_costs_the_official_score_everything():
    truth = [[make_instance(c, [_square(20 * c, 0)]) for c in (5, 6, 7)]]
    extra = [[*truth[0], make_instance(8, [_square(300, 0)])]]
    assert score_arcade_segments(truth, truth, "official").f1 == 1
    assert score_arcade_segments(truth, extra, "official").f1 == 0
    corrected = score_arcade_segments(truth, extra, "corrected")
    assert corrected.f1 == pytest.approx(3 / 4)
    assert corrected.per_class == {5: 1, 6: 1, 7: 1, 8: 0}


def test_first_instance_and_first_ring_alone_count_officially():
    pieces = [_square(0, 0), _square(50, 0)]
    whole, half = [[make_instance(5, pieces)]], [[make_instance(5, pieces[:1])]]
    two = [[make_instance(5, [piece]) for piece in pieces]]
    for prediction in (half, whole, two):
        for truth in (half, whole, two):
            assert score_arcade_segments(truth, prediction, "official").f1 == 1
    # Areas 200 and 100 that share 100.
    assert score_arcade_segments(whole, half, "corrected").f1 == pytest.approx(2 / 3)
    assert score_arcade_segments(two, half, "corrected").f1 == pytest.approx(2 / 3)
    assert score_arcade_segments(whole, two, "corrected").f1 == 1


def test_corrected_segments_by_hand():
    truth = [[make_instance(1, [_square(0, 0)]), make_instance(2, [_square(50, 0)])]]
    # Class 1 shifted by half its side (50 shared of 100 + 100), class 2 missing, class 3 too many.
    prediction = [[make_instance(1, [_square(5, 0)]), make_instance(3, [_square(90, 0)])]]
    score = score_arcade_segments(truth, prediction, "corrected")
    assert score.per_class == pytest.approx({1: 0.5, 2: 0, 3: 0})
    assert score.f1 == pytest.approx(0.5 / 3)
    # Overlapping instances of a class are not counted twice.
    double = [[make_instance(1, [_square(0, 0), _square(0, 0)]), make_instance(1, [_square(0, 0)])]]
    assert score_arcade_segments([truth[0][:1]], double, "corrected").f1 == pytest.approx(1)


def _boxes(*corners: tuple[float, float]):
    return lesions_to_instances([{"box_xyxy": [x, y, x + 20, y + 20]} for x, y in corners])


@pytest.mark.parametrize(
    ("predicted", "official", "corrected"),
    [
        ([(0, 0), (100, 0)], 1.0, 1.0),  # both found
        ([(0, 0), (0, 0)], 1.0, 0.5),  # two copies of one, the other missed
        ([(0, 0), (100, 0), (200, 0)], 2 / 3, 4 / 5),  # and a false positive
        ([(0, 0)], 0.5, 2 / 3),  # one of two found
        ([], 0.0, 0.0),
        ([(6, 0), (100, 0)], (0.7 + 1) / 2, 1.0),  # areas overlap by 0.7 (Dice), boxes by 14/26
        ([(7, 0), (100, 0)], (0.65 + 1) / 2, 0.5),  # boxes by 13/27, less than a half
    ],
)
def test_stenoses_of_an_image_with_two(predicted, official, corrected):
    truth = [_boxes((0, 0), (100, 0))]
    prediction = [_boxes(*predicted)]
    assert score_arcade_stenoses(truth, prediction, "official").f1 == pytest.approx(official)
    assert score_arcade_stenoses(truth, prediction, "corrected").f1 == pytest.approx(corrected)


def test_images_that_do_not_count_are_counted():
    truth, prediction = [_boxes((0, 0)), [], []], [_boxes((0, 0)), _boxes((0, 0)), []]
    official = score_arcade_stenoses(truth, prediction, "official")
    assert (official.f1, official.per_image, official.skipped) == (1, [1, None, None], 2)
    corrected = score_arcade_stenoses(truth, prediction, "corrected")
    assert (corrected.f1, corrected.per_image, corrected.skipped) == (0.5, [1, 0, None], 1)
    assert math.isnan(score_arcade_segments([[]], [[]], "corrected").f1)
    assert score_arcade_segments([[]], [[make_instance(5, [_square(0, 0)])]], "official").skipped == 1


def test_outlines_that_cross_themselves_are_scored():
    bow_tie = [make_instance(26, [[0, 0, 20, 20, 20, 0, 0, 20]])]
    for version in ("official", "corrected"):
        assert 0 < score_arcade_stenoses([_boxes((0, 0))], [bow_tie], version).f1 <= 1
        assert 0 < score_arcade_stenoses([bow_tie], [_boxes((0, 0))], version).f1 <= 1


def test_bad_input_is_refused():
    one = [_boxes((0, 0))]
    with pytest.raises(
        ValueError, match=r"version: expected one of \['official', 'corrected'\], found 'new'"
    ):
        score_arcade_stenoses(one, one, "new")
    with pytest.raises(ValueError, match="found 1 in truth and 2 in prediction"):
        score_arcade_stenoses(one, one * 2)
    with pytest.raises(ValueError, match=r"truth: expected category ids from 1 to 25, found \[26\]"):
        score_arcade_segments(one, [[]])
    segment = [[make_instance(5, [_square(0, 0)])]]
    with pytest.raises(ValueError, match=r"prediction: expected category ids from 26 to 26, found \[5\]"):
        score_arcade_stenoses(one, segment)


def test_an_outline_that_crosses_itself_can_be_repaired_first():
    crossing, square = [15.0, 16, 19, 15, 9, 10, 19, 2], [1.0, -4, 13, -4, 13, 8, 1, 8]
    truth, prediction = [[make_instance(26, [square])]], [[make_instance(26, [crossing])]]
    outlines = [Polygon(list(zip(ring[0::2], ring[1::2], strict=True))) for ring in (crossing, square)]
    first, second = (outline.buffer(0) for outline in outlines)
    scores = []
    for overlap in (second.intersection(first), outlines[1].intersection(outlines[0])):
        precision, recall = (
            overlap.area / (overlap.area + o.difference(overlap).area) for o in (second, first)
        )
        scores.append(2 * precision * recall / (precision + recall))
    found = [score_arcade_stenoses(truth, prediction, repair_outlines=repair).f1 for repair in (False, True)]
    assert found == pytest.approx(scores, rel=LAST_BITS)
    assert abs(scores[0] - scores[1]) > 0.5
