from __future__ import annotations

import math

import pytest
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler, from_engine

from monai_lora_sam.coronary.metrics import LesionMetric, score_lesions


def _lesion(x: float, y: float, side: float = 20, **more) -> dict:
    return {"box_xyxy": [x, y, x + side, y + side], **more}


TRUE = [
    [_lesion(10, 10, percent_diameter_stenosis=50.0, mld_px=4.0), _lesion(100, 100, mld_px=3.0)],
    [_lesion(50, 50, percent_diameter_stenosis=70.0)],
    [],
]
PREDICTED = [
    # Found (overlap 1), a copy of it, and one too far for the overlap (20·10 of 600, 1/3) but 10 px near.
    [
        _lesion(10, 10, score=0.9, percent_diameter_stenosis=56.0, mld_px=4.5),
        _lesion(11, 10, score=0.8),
        _lesion(110, 100, score=0.7, percent_diameter_stenosis=30.0, mld_px=None),
    ],
    [_lesion(50, 50, score=0.3)],  # below the score
    [_lesion(200, 200, score=0.6)],
]


def test_by_hand():
    scores = score_lesions(PREDICTED, TRUE)
    assert vars(scores.iou) == {"true_positives": 1, "false_positives": 3, "false_negatives": 2}
    assert vars(scores.distance) == {"true_positives": 2, "false_positives": 2, "false_negatives": 1}
    figures = scores.as_dict()
    assert figures["precision_iou"] == 1 / 4 and figures["recall_iou"] == 1 / 3
    assert figures["f1_iou"] == pytest.approx(2 / 7)
    assert figures["f1_distance"] == pytest.approx(4 / 7)
    # Of the two pairs one has no true %DS and one no measured MLD.
    assert (figures["percent_diameter_stenosis_n"], figures["percent_diameter_stenosis_skipped"]) == (1, 1)
    assert figures["percent_diameter_stenosis_bias"] == 6.0
    assert figures["mld_px_mean_absolute_error"] == 0.5
    # Every score counts for average precision: hit, miss, miss, miss, hit, of three.
    assert figures["average_precision"] == pytest.approx((34 * 1 + 33 * 2 / 5) / 101)
    assert set(map(type, figures.values())) == {float}


def test_centres_count_where_given():
    true = [[_lesion(0, 0, centre_xy=[2.0, 2.0])]]
    predicted = [[_lesion(0, 0, centre_xy=[18.0, 18.0])]]
    assert score_lesions(predicted, true, centre_distance_px=22).distance.f1 == 0
    assert score_lesions(predicted, true, centre_distance_px=23).distance.f1 == 1
    assert score_lesions(predicted, true, centre_distance_px=22).iou.f1 == 1


def test_nothing_at_all_is_nan():
    scores = score_lesions([[]], [[]])
    assert all(
        math.isnan(scores.as_dict()[name]) for name in ("f1_iou", "precision_iou", "average_precision")
    )
    assert score_lesions([[]], [[_lesion(0, 0)]]).iou.f1 == 0
    assert score_lesions([[_lesion(0, 0)]], [[]]).iou.f1 == 0


def test_metric_accumulates_what_the_function_scores():
    expected = score_lesions(PREDICTED, TRUE)
    metric = LesionMetric()
    metric(y_pred=PREDICTED[:1], y=TRUE[:1])
    metric(PREDICTED[1:], TRUE[1:])
    assert metric.scores().as_dict() == pytest.approx(expected.as_dict(), nan_ok=True)
    assert metric.aggregate().item() == expected.iou.f1
    metric.reset()
    with pytest.raises(ValueError, match="expected at least one image, found none"):
        metric.aggregate()


def test_in_an_engine_as_the_bundles_use_it():
    pairs = list(zip(PREDICTED, TRUE, strict=True))
    engine = Engine(lambda _, batch: [{"pred": p, "lesions": t} for p, t in batch])
    for key in ("f1_iou", "average_precision"):
        metric = LesionMetric(key=key, minimum_score=0.2, centre_distance_px=5)
        handler = IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(["pred", "lesions"]))
        handler.attach(engine, key)
    state = engine.run([pairs[:2], pairs[2:]])
    expected = score_lesions(PREDICTED, TRUE, minimum_score=0.2).as_dict()
    assert state.metrics["f1_iou"] == expected["f1_iou"] == pytest.approx(4 / 8)
    assert state.metrics["average_precision"] == expected["average_precision"]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="found 1 predicted and 3 true"):
        score_lesions(PREDICTED[:1], TRUE)
    with pytest.raises(ValueError, match="image 0, true lesion 1: expected a finite box_xyxy with x0 < x1"):
        score_lesions([[]], [[_lesion(0, 0), _lesion(5, 5, side=0)]])
    with pytest.raises(ValueError, match="image 0, predicted lesion 0: expected a finite box_xyxy"):
        score_lesions([[_lesion(float("nan"), 0)]], [[]])
    with pytest.raises(ValueError, match=r"expected box_xyxy \[x0, y0, x1, y1\], found None"):
        score_lesions([[]], [[{"centre_xy": [1, 2]}]])
    with pytest.raises(ValueError, match="expected a finite centre_xy and score"):
        score_lesions([[_lesion(0, 0, score=float("nan"))]], [[]])
    with pytest.raises(ValueError, match="limit_px: expected a number above 0, found 0"):
        score_lesions([[]], [[]], centre_distance_px=0)
    with pytest.raises(ValueError, match="threshold: expected a number above 0 and up to 1, found 50"):
        score_lesions([[]], [[]], iou_threshold=50)
    with pytest.raises(ValueError, match=r"key: expected one of .* found 'f1'"):
        LesionMetric(key="f1")
    with pytest.raises(ValueError, match="expected y, the true lesions of each image, found None"):
        LesionMetric()(y_pred=[[]])
