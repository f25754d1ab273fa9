"""Score whether phrases were found in images that show them, and in no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import Tensor

#: Score → definition over true and false positives and negatives, and over images, whose numbers are the arguments.
_SCORES: dict[str, Callable[..., float]] = {
    "f1": lambda tp, fp, fn, tn, right, images: 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan"),
    "false_alarms": lambda tp, fp, fn, tn, right, images: fp / (fp + tn) if fp + tn else float("nan"),
    "exact_match": lambda tp, fp, fn, tn, right, images: right / images if images else float("nan"),
}


class PhraseScore(Metric):
    """Score the presence of phrases over a data set, an image at a time.

    ``exact_match``: share of the images in which all present phrases are found, and no other. ``f1``: of the found
    phrases over all images. ``false_alarms``: share of the absent phrases that are found.

    Args:
        score: one of the three.
        output_transform: turns the engine's output into presence (P,) as logits and present (P,), 0 or 1, of one image.
        device: of the counts.

    Raises:
        ValueError: an unknown score, or tensors of other shapes.

    Example:
        >>> metric = PhraseScore("f1")
        >>> metric.update((torch.tensor([2.0, -1.0, 3.0]), torch.tensor([1, 0, 0])))
        >>> round(metric.compute(), 3)
        0.667
    """

    def __init__(
        self,
        score: str,
        output_transform: Callable[[Any], Any] = lambda output: output,
        device: torch.device | str = "cpu",
    ) -> None:
        if score not in _SCORES:
            raise ValueError(f"score: expected one of {list(_SCORES)}, found {score!r}")
        self.score = score
        super().__init__(output_transform, device)

    @reinit__is_reduced
    def reset(self) -> None:
        self.counts = torch.zeros(6, dtype=torch.float64, device=self._device)

    @reinit__is_reduced
    def update(self, output: tuple[Tensor, Tensor]) -> None:
        presence, present = output
        if presence.ndim != 1 or presence.shape != present.shape:
            raise ValueError(
                f"expected presence and present of one shape (P,), found {tuple(presence.shape)} and "
                f"{tuple(present.shape)}"
            )
        found, true = presence.detach() > 0, present.detach() > 0.5
        counts = [(found & true).sum(), (found & ~true).sum(), (~found & true).sum(), (~found & ~true).sum()]
        whole = torch.tensor([float(torch.equal(found, true)), 1.0])
        self.counts += torch.cat([torch.stack(counts).cpu().double(), whole.double()]).to(self._device)

    @sync_all_reduce("counts")
    def compute(self) -> float:
        return float(_SCORES[self.score](*self.counts.tolist()))
