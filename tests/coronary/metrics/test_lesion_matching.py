from __future__ import annotations

import contextlib
import io
import itertools

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from monai_lora_sam.coronary.metrics import average_precision, match_by_distance, match_by_iou
from monai_lora_sam.coronary.metrics.lesion_matching import intersection_over_union, ranked_hits


def _random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 30, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(8, 20, (count, 2))], axis=1)


def _most_pairs(allowed: np.ndarray) -> int:
    """Try all assignments."""
    if allowed.shape[0] > allowed.shape[1]:
        allowed = allowed.T
    rows = range(allowed.shape[0])
    choices = itertools.permutations(range(allowed.shape[1]), len(rows))
    return max(int(sum(allowed[r, c] for r, c in zip(rows, choice, strict=True))) for choice in choices)


def test_as_many_pairs_as_any_assignment_makes():
    rng = np.random.default_rng(0)
    for _ in range(30):
        predicted, true = _random_boxes(rng, 4), _random_boxes(rng, 5)
        pairs = match_by_iou(predicted, true, threshold=0.2)
        overlap = intersection_over_union(predicted, true)
        assert all(overlap[pair] >= 0.2 for pair in pairs)
        assert len(pairs) == _most_pairs(overlap >= 0.2)
        assert len({p for p, _ in pairs}) == len({t for _, t in pairs}) == len(pairs)


def test_the_closest_of_equal_choices_is_taken():
    assert match_by_iou([[0, 0, 4, 4], [0, 0, 4, 5]], [[0, 0, 4, 5]]) == [(1, 0)]
    assert match_by_distance([[0, 0], [9, 0]], [[10, 0]], limit_px=20) == [(1, 0)]
    # A greedy choice of the closest (1 to 0) would leave the others without a partner.
    assert match_by_distance([[0, 0], [3, 0]], [[2, 0], [8, 0]], limit_px=5) == [(0, 0), (1, 1)]
    assert match_by_distance([[0, 0]], [[3, 4]], limit_px=5) == [(0, 0)]
    assert match_by_distance([[0, 0]], [[3, 4.001]], limit_px=5) == []
    assert match_by_iou([], [[0, 0, 1, 1]]) == match_by_distance([], [], limit_px=5) == []


def test_average_precision_agrees_with_coco():
    rng = np.random.default_rng(1)
    truth, results, scores, hits = [], [], [], []
    for image in range(1, 9):
        true = _random_boxes(rng, rng.integers(0, 5))
        kept = true[rng.random(len(true)) < 0.7]
        predicted = np.concatenate([kept + rng.normal(0, 1.5, kept.shape), _random_boxes(rng, 2)])
        confidence = rng.random(len(predicted))
        scores.extend(confidence)
        hits.extend(ranked_hits(confidence, predicted, true))
        for box in true:
            size = box[2:] - box[:2]
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [*box[:2], *size],
                    "area": float(size.prod()),
                    "iscrowd": 0,
                }
            )
        for box, score in zip(predicted, confidence, strict=True):
            size = box[2:] - box[:2]
            results.append({"image_id": image, "category_id": 1, "bbox": [*box[:2], *size], "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, 9)],
            "categories": [{"id": 1}],
            "annotations": truth,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    expected = evaluation.stats[1]  # at an intersection over union of 0.5
    assert 0.2 < expected < 0.95
    assert average_precision(scores, hits, len(truth)) == pytest.approx(expected, abs=1e-9)


def test_average_precision_without_truth_or_prediction():
    assert np.isnan(average_precision([0.5], [False], 0))
    assert average_precision([], [], 3) == 0
    with pytest.raises(ValueError, match="found 2 scores and 1 hits"):
        average_precision([0.5, 0.4], [True], 1)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"true box: expected finite .* found \[5.0, 5.0, 5.0, 9.0\]"):
        match_by_iou([[0, 0, 1, 1]], [[5, 5, 5, 9]])
    with pytest.raises(ValueError, match="predicted box: expected finite"):
        match_by_iou([[0, 0, float("nan"), 1]], [[5, 5, 6, 9]])
    with pytest.raises(ValueError, match="predicted centre: expected finite"):
        match_by_distance([[float("nan"), 0]], [[1, 1]], limit_px=5)
    with pytest.raises(ValueError, match="threshold: expected a number above 0 and up to 1, found 0"):
        match_by_iou([], [], threshold=0)
