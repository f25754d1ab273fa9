"""Kinds of prompt and choices of masks, with a network whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.evaluation import CHOICES, CLICK_MODES, MODES, PROMPT_MODES, answers
from monai_lora_sam.networks import ImageEmbedding, PromptedMasks
from monai_lora_sam.transforms import tight_box

SIZE = (40, 50)


def block(row: int, column: int, height: int = 10, width: int = 12) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[row : row + height, column : column + width] = True
    return mask


TRUTHS = [block(4, 5), block(25, 30)]
EMBEDDING = ImageEmbedding(torch.zeros(1, 256, 4, 4), SIZE)


class Network:
    """Answer a prompt with the block around its last foreground point, or its box, and keep what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict] = []

    def decode(self, embedding, points=None, point_labels=None, boxes=None, masks=None, multimask=False):
        self.asked.append({"points": points, "labels": point_labels, "boxes": boxes, "masks": masks})
        count = (points if boxes is None else boxes).shape[1]
        answer = torch.full((1, count, 3 if multimask else 1, *SIZE), -1.0)
        for number in range(count):
            if boxes is None:
                x, y = (int(value) for value in points[0, number][point_labels[0, number] == 1][-1])
                answer[0, number, -1, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 1
            else:
                x0, y0, x1, y1 = (int(value) for value in boxes[0, number])
                answer[0, number, -1, y0 : y1 + 1, x0 : x1 + 1] = 1
            if multimask:
                answer[0, number, 1] = 1  # The whole image, which the network thinks best.
        iou = torch.tensor([0.1, 0.9, 0.2] if multimask else [0.5]).expand(1, count, -1)
        return PromptedMasks(answer, iou)


def ask(network: Network, modes=MODES) -> dict:
    generators = [np.random.default_rng(number) for number in range(2)]
    found = answers(network, EMBEDDING, TRUTHS, generators, modes)  # type: ignore[arg-type]
    return {(answer.number, answer.mode, answer.choice): answer for answer in found}


def test_every_object_gets_every_mode_and_choice() -> None:
    found = ask(Network())
    assert len(found) == 2 * (len(PROMPT_MODES) * len(CHOICES) + len(CLICK_MODES))


@pytest.mark.parametrize("number", [0, 1])
def test_choices_are_the_single_mask_the_best_predicted_and_the_best(number: int) -> None:
    found = ask(Network(), ["box"])
    assert (found[number, "box", "single"].mask == TRUTHS[number]).all()
    assert found[number, "box", "predicted"].mask.all()
    assert (found[number, "box", "oracle"].mask == TRUTHS[number]).all()
    scores = [found[number, "box", choice].predicted_iou for choice in CHOICES]
    assert scores == pytest.approx([0.5, 0.9, 0.2])


def test_prompts_are_those_of_the_protocol() -> None:
    network = Network()
    ask(network, ["5 points", "box shifted 20 px", "box + 5 points"])
    points, shifted, both = network.asked[0], network.asked[2], network.asked[4]
    assert points["points"].shape == both["points"].shape == (1, 2, 5, 2)
    assert points["boxes"] is None and shifted["points"] is None and (points["labels"] == 1).all()
    assert both["boxes"][0].tolist() == [tight_box(mask).tolist() for mask in TRUTHS]
    assert not torch.equal(shifted["boxes"], both["boxes"])


def test_clicks_correct_the_largest_error_with_the_last_answer_as_prompt() -> None:
    network = Network()
    found = ask(network, ["1 click", "3 clicks"])
    assert [call["points"].shape[2] for call in network.asked] == [1, 2, 3]
    assert network.asked[0]["masks"] is None
    first = found[0, "1 click", "single"].mask
    assert ((network.asked[1]["masks"][0, 0] > 0).numpy() == first).all()
    # The first click lies in the middle, so the block of 25 pixels around it is right; then the rest is missed.
    assert (first & ~TRUTHS[0]).sum() == 0 and first.sum() == 25
    x, y = (int(value) for value in network.asked[1]["points"][0, 0, 1])
    assert TRUTHS[0][y, x] and not first[y, x] and network.asked[1]["labels"][0, 0].tolist() == [1, 1]


def test_clicks_stop_where_nothing_is_wrong() -> None:
    class Perfect(Network):
        def decode(self, embedding, **prompts):
            answer = super().decode(embedding, **prompts)
            for number, point in enumerate(prompts["points"][0, :, 0].int().tolist()):
                truth = next(mask for mask in TRUTHS if mask[point[1], point[0]])
                answer.logits[0, number, 0] = torch.from_numpy(truth).float() * 2 - 1
            return answer

    network = Perfect()
    found = ask(network, CLICK_MODES)
    assert len(network.asked) == 1
    assert all((found[0, mode, "single"].mask == TRUTHS[0]).all() for mode in CLICK_MODES)
