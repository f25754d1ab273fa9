"""gIoU, cIoU, marks and exact matches against cases done by hand, and against MONAI's IoU."""

from __future__ import annotations

import pytest
import torch
from monai.metrics import compute_iou

from monai_lora_sam.metrics import AnswerMetric, ReasoningIoUMetric


def masks(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)[:, None, None]


def test_by_hand():
    """Intersections 2, 1, 0, 0 and unions 2, 3, 0, 1; the last pixel of the second mask does not count."""
    found = masks([1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0])
    truth = masks([1, 1, 0, 0], [1, 0, 1, 255], [0, 0, 0, 0], [0, 0, 0, 0])
    for score, expected in (("giou", (1 + 1 / 3 + 1 + 0) / 4), ("ciou", 3 / 6)):
        metric = ReasoningIoUMetric(score)
        metric(found[:2], truth[:2])
        metric(found[:0], truth[:0])
        metric(found[2:], truth[2:])
        assert float(metric.aggregate()) == pytest.approx(expected)


def test_nothing_to_find_and_nothing_found_is_right():
    metric = ReasoningIoUMetric("ciou")
    metric(masks([0, 0]), masks([0, 255]))
    assert float(metric.aggregate()) == 1


def test_the_mean_is_monais_where_no_mask_is_empty():
    generator = torch.Generator().manual_seed(0)
    found, truth = torch.randint(0, 2, (2, 5, 1, 8, 8), generator=generator)
    metric = ReasoningIoUMetric("giou")
    metric(found, truth)
    assert float(metric.aggregate()) == pytest.approx(float(compute_iou(found, truth).mean()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReasoningIoUMetric("iou"), "score: expected 'giou' or 'ciou'"),
        (lambda: ReasoningIoUMetric("giou")(masks([0]), masks([0, 1])), "masks of one shape"),
        (lambda: ReasoningIoUMetric("giou")(masks([2]), masks([0])), "y_pred: expected the values"),
        (lambda: ReasoningIoUMetric("giou").aggregate(), "expected at least one mask"),
        (lambda: AnswerMetric("match", 0), "score: expected 'mark_accuracy'"),
        (lambda: AnswerMetric("exact_match", 0)(torch.zeros(1, 2), torch.zeros(1, 3)), "ids of one shape"),
        (lambda: AnswerMetric("exact_match", 0).aggregate(), "expected at least one answer"),
    ],
)
def test_bad_input(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_answers_by_hand():
    """Right; the mark is missing; the mark is said though nothing is there; other words with the mark."""
    said = torch.tensor([[5, 9, -1], [5, 6, -1], [9, -1, -1], [7, 9, 8]])
    right = torch.tensor([[5, 9, -1], [5, 9, -1], [4, -1, -1], [7, 8, 9]])
    for score, expected in (("mark_accuracy", 0.5), ("exact_match", 0.25)):
        metric = AnswerMetric(score, mark=9)
        metric(said, right)
        assert float(metric.aggregate()) == expected
