"""A promptable network that takes words as prompts beside points and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.networks.check_prompts import check_prompts
from monai_lora_sam.networks.heads import HeadEntry
from monai_lora_sam.networks.phrases import MOST_PHRASES
from monai_lora_sam.networks.promptable_segmenter import ImageEmbedding, PromptableSegmenter, PromptedMasks
from monai_lora_sam.networks.stage_network import StageNetwork
from monai_lora_sam.networks.text_head import TextPromptHead

#: Phrases that the mask decoder answers at once, so that memory stays flat in their number.
PHRASES_AT_ONCE = 8


class TextPromptedSegmenter(PromptableSegmenter):
    """Segment the objects that words name, as well as those that points, boxes or earlier masks show.

    The image is encoded once for all phrases. Each answer has a presence beside its mask: whether the object is in the
    image at all. Without words it answers as :class:`PromptableSegmenter` with the same adapters does.

    Args:
        stack, head, adapters, strategy, name, mixed_precision: see :class:`PromptableSegmenter`; the head is a
            :class:`TextPromptHead`.

    Example:
        >>> network = load_stage("models/text/best")  # doctest: +SKIP
        >>> found = network(image, phrases=["left kidney", "spleen"])  # doctest: +SKIP
        >>> found.logits.shape, found.presence.sigmoid()  # doctest: +SKIP
        (torch.Size([1, 2, 1, 512, 512]), tensor([[0.98, 0.02]]))
    """

    head: TextPromptHead

    @classmethod
    def new(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: type[nn.Module],
        reads: Mapping[str, StageNetwork],
        *,
        name: str = "words",
        strategy: str = "frozen",
        last_n: int = 2,
        lora: dict[str, Any] | None = None,
        mixed_precision: bool = True,
        pretrained: bool | str | Path = True,
        decoder: str = "frozen",
        decoder_lora: dict[str, Any] | None = None,
        text_encoder: str = "minilm",
        text_strategy: str = "lora",
        text_last_n: int = 3,
        text_lora: dict[str, Any] | None = None,
    ) -> TextPromptedSegmenter:
        """Put a sentence encoder, a prompt encoder and a mask decoder on a stack.

        Args:
            stack, head, reads, name, strategy, last_n, lora, mixed_precision: see
                :func:`monai_lora_sam.networks.build_segmenter`; of the image encoder.
            pretrained, decoder, decoder_lora: see :meth:`PromptableSegmenter.new`.
            text_encoder, text_strategy, text_last_n, text_lora: see :class:`TextEncoder`.
        """
        words = {
            "source": text_encoder,
            "strategy": text_strategy,
            "last_n": text_last_n,
            "lora": text_lora,
        }
        made: Any = super().new(
            stack,
            partial(head, text=words),  # type: ignore[arg-type]
            reads,
            name=name,
            strategy=strategy,
            last_n=last_n,
            lora=lora,
            mixed_precision=mixed_precision,
            pretrained=pretrained,
            decoder=decoder,
            decoder_lora=decoder_lora,
        )
        made.head.text_encoder.load_base(overwrite=True)
        return made

    def tokenise(self, phrases: Sequence[str], limit: int | None = MOST_PHRASES) -> tuple[Tensor, Tensor]:
        """Return token ids and mask, both (N, T); see :meth:`TextEncoder.tokenise`."""
        return self.head.text_encoder.tokenise(phrases, limit)

    def encode_phrases(self, phrases: Sequence[str]) -> Tensor:
        """Return the sentence embeddings (N, width) of phrases.

        Raises:
            ValueError: a phrase that the encoder cannot read; see :meth:`TextEncoder.tokenise`.
        """
        return self.head.text_encoder(*self.tokenise(phrases))

    def decode(
        self,
        embedding: ImageEmbedding,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = False,
        words: Tensor | None = None,
    ) -> PromptedMasks:
        """Return the masks for prompts on images that were encoded.

        Args:
            embedding, points, point_labels, boxes, masks, multimask: see :class:`PromptableSegmenter`.
            words: (B, N, width), sentence embeddings of N phrases for each image; other prompts beside them are N as
                well, each for its phrase.
        """
        if words is None:
            return super().decode(embedding, points, point_labels, boxes, masks, multimask)
        batch, (height, width) = embedding.features.shape[0], embedding.size
        if words.ndim != 3 or words.shape[0] != batch or words.shape[2] != self.head.text_encoder.width:
            expected = (batch, "any", self.head.text_encoder.width)
            raise ValueError(f"words: expected the shape {expected}, found {tuple(words.shape)}")
        others = {"points": points, "boxes": boxes, "masks": masks}
        given = {name: prompt for name, prompt in others.items() if prompt is not None}
        if given:
            check_prompts(batch, height, width, points, point_labels, boxes, masks)
            counts = {name: prompt.shape[1] for name, prompt in given.items()}
            if set(counts.values()) != {words.shape[1]}:
                raise ValueError(f"expected as many prompts as phrases, {words.shape[1]}, found {counts}")
        prompts = {**given, "words": words} | ({} if point_labels is None else {"point_labels": point_labels})
        none = dict.fromkeys(("points", "point_labels", "boxes", "masks"))
        answers = [
            self._ask_head(
                embedding,
                multimask=multimask,
                **{
                    **none,
                    **{name: value[:, start : start + PHRASES_AT_ONCE] for name, value in prompts.items()},
                },  # type: ignore[arg-type]
            )
            for start in range(0, words.shape[1], PHRASES_AT_ONCE)
        ]
        return PromptedMasks(*(torch.cat(parts, 1) for parts in zip(*answers, strict=True)))  # type: ignore[arg-type]

    def forward(  # type: ignore[override]
        self,
        image: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = False,
        phrases: Sequence[str] | None = None,
    ) -> PromptedMasks:
        """Return the masks for prompts; ``phrases`` are the same for each image of the batch."""
        words = None if phrases is None else self.encode_phrases(phrases).expand(len(image), -1, -1)
        return self.decode(self.encode(image), points, point_labels, boxes, masks, multimask, words)


#: The entry of words as prompts.
TEXT = HeadEntry(TextPromptHead, TextPromptedSegmenter)
