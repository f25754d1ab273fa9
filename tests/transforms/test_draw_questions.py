"""Questions that are drawn: masks in their places, absent ones, fixed draws, regions that do not count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_lora_sam.transforms import DrawQuestionsd

PHRASES = ["aorta", "ignore", "liver"]
ASKED: list[dict[str, Any]] = [
    {"questions": ["Both?"], "answer": "[SEG] [SEG]", "masks": ["liver", "aorta"], "asks": 2},
    {"questions": ["Liver?", "The liver?"], "answer": "[SEG]", "masks": ["liver"], "asks": 1},
    {"questions": ["Lung?"], "answer": "No.", "masks": [], "asks": 1},
    {"questions": ["What?"], "answer": "A scan.", "masks": [], "asks": 0},
]
QUESTIONS = ["Both?", "Liver?", "Lung?", "The liver?", "What?"]
ANSWERS = ["A scan.", "No.", "[SEG]", "[SEG] [SEG]"]


def item() -> dict[str, Any]:
    layers = torch.zeros(3, 4, 4, dtype=torch.uint8)
    layers[0, 0], layers[1, 1], layers[2, 2] = 1, 1, 1
    return {"label": layers, "present": torch.tensor([0, 1, 2]), "asked": ASKED, "file": "a.png"}


def draw(count: int | None = None, **more: Any) -> DrawQuestionsd:
    return DrawQuestionsd(PHRASES, QUESTIONS, ANSWERS, count, masks=2, **more)


def test_all_facts_with_their_masks():
    found = draw()(item())
    assert found["answer"].tolist() == [3, 2, 1, 0]
    assert found["asks"].tolist() == [[1, 1], [1, 0], [1, 0], [0, 0]]
    rows = [[mask.nonzero()[:, 0].unique().tolist() for mask in masks] for masks in found["truth"]]
    assert rows == [[[2], [0]], [[2], []], [[], []], [[], []]]  # in the order of the answer
    assert found["valid"][1].sum() == 0 and found["valid"].sum() == 12
    assert found["question"][1] in (1, 3)
    assert "label" not in found and "asked" not in found


def test_an_object_that_is_lost_is_not_asked_for():
    small = item()
    small["label"][0] = 0
    assert draw()(small)["answer"].tolist() == [2, 1, 0]


def test_fixed_draws_are_the_same_and_no_question_comes_twice():
    one, other = (draw(2, fixed=True)(item()) for _ in range(2))
    assert torch.equal(one["question"], other["question"])
    assert len(draw(9, fixed=True)(item())["answer"]) <= 4


def test_training_gets_as_many_each_time_and_some_absent():
    drawing = draw(4)
    drawing.set_random_state(0)
    answers = torch.cat([drawing(item())["answer"] for _ in range(200)])
    assert len(answers) == 800 and 0.2 < (answers == 1).float().mean() < 0.3


def test_bad_input():
    with pytest.raises(ValueError, match="count: expected 1 or more"):
        draw(0)
    empty = {**item(), "asked": ASKED[:1], "present": torch.tensor([0, 1]), "label": item()["label"][:2]}
    with pytest.raises(ValueError, match=r"a\.png: expected questions at \(4, 4\) pixels"):
        draw()(empty)
