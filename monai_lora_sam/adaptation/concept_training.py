"""Train SAM 3 on its own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional
from transformers.models.sam3.modeling_sam3 import Sam3ImageSegmentationOutput

from monai_lora_sam.adaptation.text_training import TextTraining
from monai_lora_sam.networks import ConceptEmbedding

#: Phrases that are answered at once in evaluation.
PHRASES_AT_ONCE = 2
_FIELDS = ("pred_masks", "pred_boxes", "pred_logits", "presence_logits", "semantic_seg")


class ConceptAnswers(NamedTuple):
    """Hold SAM 3's answers to P phrases, of all images together.

    Attributes:
        logits: (P, 1, H, W), of the masks of whole concepts, without gradients: for scores.
        truth: (P, 1, H, W), 0 and 1.
        presence: (P,), logits.
        present: (P,), 1 for a phrase that names something in its image.
        valid: (P, 1, H, W), 1 in the image and 0 in its padding.
        weight: (P,), of the phrases; None for equal ones.
        output: of the detector, for `losses.ConceptLoss`.
        instances: for each phrase (K, h, w), 0 and 1, the connected parts of its mask.
    """

    logits: Tensor
    truth: Tensor
    presence: Tensor
    present: Tensor
    valid: Tensor
    weight: Tensor | None
    output: Sam3ImageSegmentationOutput
    instances: list[Tensor]


class ConceptTraining(TextTraining):
    """Ask SAM 3 about the phrases of a batch.

    The padding of an image is cut off before it is scaled into the encoder's square, as the network does with an image
    alone. Each connected part of a phrase's mask is an instance of its concept. In evaluation a few phrases are
    answered at a time, so that memory does not grow with their number.

    Args:
        network, vocabulary, weights: see :class:`TextTraining`; the network is a :class:`TextSegmenter`.

    Shapes:
        see :class:`TextTraining`; features are the levels of the encoder's pyramid.

    Example:
        >>> answers = ConceptTraining(network, ["left kidney", "spleen"])(**batch)  # doctest: +SKIP
        >>> ConceptLoss()(answers.output, answers.instances)["loss"].backward()  # doctest: +SKIP
    """

    def forward(  # type: ignore[override]
        self,
        image: Tensor | None,
        phrase: Tensor,
        present: Tensor,
        truth: Tensor,
        size: Tensor,
        features: Sequence[Tensor] | None = None,
    ) -> ConceptAnswers:
        count, height, width = truth.shape[1:]
        if features is None:
            assert image is not None
            features = self.read(image, size)  # type: ignore[assignment]
        asked, owner = phrase.flatten(), torch.arange(len(phrase), device=phrase.device)
        owner = owner.repeat_interleave(count)
        embedding = ConceptEmbedding(list(features), (height, width))  # type: ignore[arg-type]
        step = len(asked) if self.training else PHRASES_AT_ONCE
        parts = [
            self.network.answer(
                embedding,
                self.ids[asked[start : start + step]],
                self.mask[asked[start : start + step]],
                owner=owner[start : start + step],
            )
            for start in range(0, len(asked), step)
        ]
        joined: dict[str, Any] = {name: torch.cat([part[name] for part in parts]) for name in _FIELDS}
        output = Sam3ImageSegmentationOutput(**joined)
        sizes = [(int(rows), int(columns)) for rows, columns in size.tolist()]
        places = [sizes[index] for index in owner.tolist()]
        masks = truth.flatten(0, 1)
        return ConceptAnswers(
            logits=self._at_image_size(output, places, height, width),
            truth=masks[:, None].float(),
            presence=output.presence_logits.flatten(),  # type: ignore[union-attr]
            present=present.flatten(),
            valid=self.valid_area(size.to(phrase.device), height, width).repeat_interleave(count, 0),
            weight=None if self.weights is None else self.weights.to(phrase.device)[asked],
            output=output,
            instances=[
                connected_parts(mask[:rows, :columns])
                for mask, (rows, columns) in zip(masks, places, strict=True)
            ],
        )

    def parameter_groups(self, learning_rate: float, new_learning_rate: float) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the trained parameters for an optimiser, all at one rate: no layer of SAM 3 starts anew.

        Raises:
            ValueError: nothing trains.
        """
        trained = [p for p in self.network.parameters() if p.requires_grad]
        if not trained:
            raise ValueError(
                "expected something to train: strategy, text_strategy or decoder other than 'frozen', found all frozen"
            )
        return [{"params": trained, "lr": learning_rate}]

    @torch.no_grad()
    def _at_image_size(
        self, output: Sam3ImageSegmentationOutput, places: Sequence[tuple[int, int]], height: int, width: int
    ) -> Tensor:
        """Return the semantic logits (P, 1, height, width), each in the upper left of its padding."""
        semantic: Any = output.semantic_seg
        logits = semantic.new_zeros((len(semantic), 1, height, width), dtype=torch.float32)
        for row, (rows, columns) in enumerate(places):
            part = functional.interpolate(semantic[row, None].float(), (rows, columns), mode="bilinear")
            logits[row, :, :rows, :columns] = part[0]
        return logits


def connected_parts(mask: Tensor) -> Tensor:
    """Return the connected parts (K, H, W) of a mask (H, W), 0 and 1; pixels that touch at a corner are connected.

    Example:
        >>> connected_parts(torch.tensor([[1, 0, 1], [0, 0, 1]])).shape
        torch.Size([2, 2, 3])
    """
    numbers, count = ndimage.label(mask.cpu().numpy() > 0, structure=np.ones((3, 3)))
    values = torch.arange(1, count + 1)[:, None, None]
    return (torch.from_numpy(numbers)[None] == values).float().to(mask.device)
