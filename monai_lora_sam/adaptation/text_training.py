"""Train a promptable network on words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from monai_lora_sam.adaptation.prompted_training import PromptedTraining
from monai_lora_sam.networks import ImageEmbedding, TextPromptedSegmenter, TextSegmenter


class TextAnswers(NamedTuple):
    """Hold the answers to P phrases, of all images together; the arguments of `losses.TextLoss`.

    Attributes:
        logits: (P, 1, H, W).
        iou: (P, 1), predicted.
        truth: (P, 1, H, W), 0 and 1.
        presence: (P,), logits.
        present: (P,), 1 for a phrase that names something in its image.
        valid: (P, 1, H, W), 1 in the image and 0 in its padding.
        weight: (P,), of the phrases; None for equal ones.
    """

    logits: Tensor
    iou: Tensor
    truth: Tensor
    presence: Tensor
    present: Tensor
    valid: Tensor
    weight: Tensor | None


class TextTraining(PromptedTraining):
    """Ask a network about the phrases of a batch; every phrase is encoded once for all of its images.

    Args:
        network: to be trained.
        vocabulary: all phrases; those of a batch are places in it.
        weights: of the phrases in the loss, in the order of the vocabulary; None for equal ones.

    Shapes:
        image: (B, 3, H, W), 0..1, each in the upper left of its padding, or None where features (B, 256, h, w) of
        :meth:`read` are given; size (B, 2), its height and width there; phrase (B, N); present (B, N), 0 or 1; truth
        (B, N, H, W).

    Raises:
        ValueError: a phrase that the sentence encoder cannot read, or weights of another number.

    Example:
        >>> training = TextTraining(network, ["left kidney", "spleen"])  # doctest: +SKIP
        >>> TextLoss()(**training(**batch)._asdict())  # doctest: +SKIP
    """

    network: Any
    ids: Tensor
    mask: Tensor

    def __init__(
        self,
        network: TextPromptedSegmenter | TextSegmenter,
        vocabulary: Sequence[str],
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(network, rounds=0)  # type: ignore[arg-type]
        self.vocabulary = list(vocabulary)
        if weights is not None and len(weights) != len(vocabulary):
            raise ValueError(
                f"weights: expected {len(vocabulary)}, one for each phrase, found {len(weights)}"
            )
        ids, mask = network.tokenise(self.vocabulary, limit=None)
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("mask", mask, persistent=False)
        self.weights = None if weights is None else torch.tensor(weights)

    def forward(  # type: ignore[override]
        self,
        image: Tensor | None,
        phrase: Tensor,
        present: Tensor,
        truth: Tensor,
        size: Tensor,
        features: Tensor | None = None,
    ) -> TextAnswers:
        count, height, width = truth.shape[1:]
        if features is None:
            assert image is not None
            features = self.read(image, size)
        asked, places = phrase.unique(return_inverse=True)
        longest = int(self.mask[asked].sum(1).max())
        words = self.network.head.text_encoder(self.ids[asked, :longest], self.mask[asked, :longest])[places]
        found = self.network.decode(ImageEmbedding(features, (height, width)), words=words)
        valid = self.valid_area(size, height, width).repeat_interleave(count, 0)
        assert found.presence is not None
        return TextAnswers(
            found.logits.flatten(0, 1),
            found.iou.flatten(0, 1),
            truth.flatten(0, 1)[:, None].float(),
            found.presence.flatten(),
            present.flatten(),
            valid,
            None if self.weights is None else self.weights.to(phrase.device)[phrase.flatten()],
        )

    def parameter_groups(self, learning_rate: float, new_learning_rate: float) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the trained parameters for an optimiser: what a base has or adapts, and the layers that start anew."""
        head = self.network.head
        new = {id(p) for part in (head.projection, head.presence) for p in part.parameters()}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in new], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in new], "lr": new_learning_rate},
        ]
        return [group for group in groups if group["params"]]


def phrase_masks(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the masks as a user gets them and the truth, (1, P, H, W) as 0 and 1: empty where a phrase is not found.

    Args:
        output: of MONAI's evaluator for one image; ``pred`` is :class:`TextAnswers`.
    """
    answers: TextAnswers = output["pred"]
    found = (answers.logits > 0) & (answers.valid > 0) & (answers.presence > 0)[:, None, None, None]
    return found.float().transpose(0, 1), answers.truth.transpose(0, 1)


def phrase_presence(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return presence, as logits, and the truth (P,) of one image's phrases.

    Args:
        output: of MONAI's evaluator; ``pred`` is :class:`TextAnswers`.
    """
    answers: TextAnswers = output["pred"]
    return answers.presence, answers.present
