"""Draw questions about an item's image, some of which name nothing in it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

#: Share of the drawn questions about what the image does not show, where there are such and others.
ABSENT_SHARE = 0.25


class DrawQuestionsd(Randomizable, Transform):
    """Give an item questions, their answers and the masks that are asked for.

    Args:
        phrases, questions, answers: all there are; an item's are places in these lists.
        count: most questions of an item; None asks for every fact.
        masks: most masks that one question asks for.
        fixed: draw the same questions for an image each time, for validation.
        ignored: phrase of the pixels that do not count.

    Shapes:
        label (M, H, W) and present (M,), as :class:`LoadPhraseMasksd` gives them, and `asked`, as
        :func:`monai_lora_sam.data.question_entries` gives it, become question (N,), answer (N,), truth (N, S, H, W)
        uint8, asks (N, S), 1 for a mask that is asked for, and valid (H, W), 0 where pixels do not count.

    Raises:
        ValueError: a count below 1, or an item without questions; its `file` is named.

    Example:
        >>> draw = DrawQuestionsd(["liver"], ["Where is the liver?"], ["Here: [SEG]."], None)
        >>> asked = [{"questions": ["Where is the liver?"], "answer": "Here: [SEG].", "masks": ["liver"], "asks": 1}]
        >>> draw({"label": torch.ones(1, 8, 8), "present": torch.tensor([0]), "asked": asked})["truth"].shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self,
        phrases: Sequence[str],
        questions: Sequence[str],
        answers: Sequence[str],
        count: int | None = None,
        masks: int = 1,
        fixed: bool = False,
        ignored: str = "ignore",
    ) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count: expected 1 or more, found {count}")
        self.phrases, self.questions, self.answers = (
            {text: place for place, text in enumerate(texts)} for texts in (phrases, questions, answers)
        )
        self.count, self.masks, self.fixed, self.ignored = count, masks, fixed, ignored

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        layers = torch.as_tensor(np.asarray(item.pop("label")))
        present, asked = item.pop("present").tolist(), item.pop("asked")
        item.pop("absent", None)
        draw = np.random.RandomState(crc32(str(item.get("file")).encode())) if self.fixed else self.R
        # Resizing can take the last pixel of a small object: it is not asked for.
        layer = {place: layers[index] for index, place in enumerate(present) if layers[index].any()}
        left = [one for one in asked if all(self.phrases[phrase] in layer for phrase in one["masks"])]
        if not left:
            raise ValueError(
                f"{item.get('file', 'item')}: expected questions at {tuple(layers.shape[1:])} pixels, found none"
            )
        chosen = left if self.count is None else self._draw(left, self.count, draw)
        truth = torch.zeros((len(chosen), self.masks, *layers.shape[1:]), dtype=torch.uint8)
        asks = torch.zeros(len(chosen), self.masks)
        for row, one in enumerate(chosen):
            asks[row, : one["asks"]] = 1
            for place, phrase in enumerate(one["masks"]):
                truth[row, place] = layer[self.phrases[phrase]]
        ignored = layer.get(self.phrases.get(self.ignored, -1))
        wording = [one["questions"][draw.randint(len(one["questions"]))] for one in chosen]
        return {
            **item,
            "question": torch.tensor([self.questions[text] for text in wording]),
            "answer": torch.tensor([self.answers[one["answer"]] for one in chosen]),
            "truth": truth,
            "asks": asks,
            "valid": torch.ones(layers.shape[1:]) if ignored is None else (ignored == 0).float(),
        }

    def _draw(self, asked: list[dict[str, Any]], count: int, draw: Any) -> list[dict[str, Any]]:
        """Draw questions; in a training each item gets as many, the same ones again if need be."""
        absent = [one for one in asked if one["asks"] and not one["masks"]]
        others = [one for one in asked if one["masks"] or not one["asks"]]
        wanted = draw.binomial(count, ABSENT_SHARE) if absent and others else count if absent else 0
        chosen: list[dict[str, Any]] = []
        for pool, number in ((others, count - wanted), (absent, wanted)):
            number = min(number, len(pool)) if self.fixed else number
            if pool and number:
                chosen += [pool[int(place)] for place in draw.choice(len(pool), number, number > len(pool))]
        return chosen
