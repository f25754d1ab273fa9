"""Draw phrases of an item, some of which name nothing in its image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

#: Share of the drawn phrases that name nothing in the image, where there are such and others.
ABSENT_SHARE = 0.4


class DrawPhrasesd(Randomizable, Transform):
    """Give an item phrases to be asked for, each with its mask.

    Args:
        count: number of phrases, drawn anew at each call, some of them absent ones; None takes all that are known of
            the image, in their order.

    Shapes:
        label (M, H, W), present (M,) and absent (A,), as :class:`LoadPhraseMasksd` gives them, become truth (N, H, W)
        uint8, phrase (N,), places in the vocabulary, and present (N,), 1 for a phrase that names something.

    Raises:
        ValueError: a count below 1, or an item without any phrase; its `file` is named.

    Example:
        >>> item = {"label": torch.ones(1, 8, 8), "present": torch.tensor([3]), "absent": torch.tensor([0, 5])}
        >>> DrawPhrasesd(None)(item)["phrase"]
        tensor([3, 0, 5])
    """

    def __init__(self, count: int | None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count: expected 1 or more, found {count}")
        self.count = count

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        masks = torch.as_tensor(np.asarray(item.pop("label")))
        present, absent = item.pop("present"), item.pop("absent")
        if not len(present) and not len(absent):
            raise ValueError(f"{item.get('file', 'item')}: expected phrases, found none")
        # Resizing can take the last pixel of a small object: such a phrase is not asked for.
        left = [place for place in range(len(present)) if masks[place].any()]
        chosen = [(int(present[place]), place) for place in left] + [(int(place), -1) for place in absent]
        if self.count is not None:
            chosen = self._draw(chosen[: len(left)], chosen[len(left) :], self.count)
        if not chosen:
            raise ValueError(
                f"{item.get('file', 'item')}: expected phrases at {tuple(masks.shape[1:])} pixels, found none"
            )
        truth = torch.zeros((len(chosen), *masks.shape[1:]), dtype=torch.uint8)
        for index, (_, place) in enumerate(chosen):
            if place >= 0:
                truth[index] = masks[place]
        return {
            **item,
            "truth": truth,
            "phrase": torch.tensor([phrase for phrase, _ in chosen]),
            "present": torch.tensor([float(place >= 0) for _, place in chosen]),
        }

    def _draw(
        self, present: list[tuple[int, int]], absent: list[tuple[int, int]], count: int
    ) -> list[tuple[int, int]]:
        negatives = (
            count
            if not present
            else 0
            if not absent
            else max(1, round(ABSENT_SHARE * count))
            if count > 1
            else int(self.R.random() < ABSENT_SHARE)
        )
        drawn = []
        for pool, number in ((present, count - negatives), (absent, negatives)):
            if pool and number:
                places = self.R.choice(len(pool), number, replace=number > len(pool))
                drawn += [pool[int(place)] for place in places]
        return drawn
