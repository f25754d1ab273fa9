"""SAM 3 by words: every instance of the concept that a phrase or example boxes name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from monai.utils import convert_to_tensor
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam3.modeling_sam3 import (
    Sam3ImageSegmentationOutput,
    Sam3Model,
    Sam3VisionEncoderOutput,
)

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.networks.mixed_precision import autocast
from monai_lora_sam.networks.phrases import check_phrases

#: Phrases that the detector answers at once, so that memory stays flat in their number.
PHRASES_AT_ONCE = 2
#: Text of boxes without words, as in SAM 3's training.
BOXES_ALONE = "visual"
#: Score from which on an instance is one.
INSTANCE_SCORE = 0.5


class ConceptEmbedding(NamedTuple):
    """Hold the features of images, for any number of phrases.

    Attributes:
        levels: of the encoder's pyramid, finest first, as the encoder gives them.
        size: height and width of the images.
    """

    levels: list[Tensor]
    size: tuple[int, int]


class PhraseInstances(NamedTuple):
    """Hold the instances of one phrase in one image, highest score first.

    Attributes:
        phrase: as it was asked.
        presence: probability that the concept is in the image.
        scores: (K,), probability of each instance times presence.
        boxes: (K, 4), (x0, y0, x1, y1) in pixels.
        masks: (K, H, W) bool.
        semantic: (H, W) bool, all of the concept; nothing where the presence is below one half.
    """

    phrase: str
    presence: float
    scores: Tensor
    boxes: Tensor
    masks: Tensor
    semantic: Tensor


class TextSegmenter(nn.Module):
    """Find every instance of a concept by words, by boxes around examples, or by both (Carion et al., 2025).

    The image encoder with its adapters is that of other stages: with its adapters off it gives their features bit for
    bit. The rest of SAM 3 (text encoder, geometry encoder, DETR, mask decoder) is transformers'. Images are scaled into
    the encoder's square, whatever their shape, as in SAM 3's training. Features are computed once for all phrases, and
    the detector answers a few phrases at a time.

    Args:
        stack: SAM 3's image encoder with adapters.
        detector: transformers' model; its own image encoder is taken away.
        tokenizer: CLIP's, as in `tokenizer.json`.
        adapters: names of the image encoder's adapters that are summed; none for the bare encoder.
        mixed_precision: run the image encoder in bfloat16 autocast.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder.

    Example:
        >>> network = build_text_segmenter()  # doctest: +SKIP
        >>> [found] = network.segment(image, ["left kidney"])  # doctest: +SKIP
        >>> found.scores, found.masks.shape  # doctest: +SKIP
        (tensor([0.93]), torch.Size([1, 512, 512]))
    """

    def __init__(
        self,
        stack: AdapterStack,
        detector: Sam3Model,
        tokenizer: Tokenizer,
        adapters: Sequence[str] = (),
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        parts: Any = detector.config
        levels, width = set(stack.encoder.channels), parts.detr_encoder_config.hidden_size
        if stack.encoder.family != "sam3" or levels != {width}:
            raise ValueError(
                f"expected SAM 3's image encoder with {width} channels, found "
                f"{stack.encoder.name!r} of family {stack.encoder.family!r} with {sorted(levels)}"
            )
        if hasattr(detector, "vision_encoder"):
            del detector.vision_encoder
        self.stack, self.detector = stack, detector.requires_grad_(False)
        self.adapters, self.mixed_precision = tuple(adapters), mixed_precision
        self.longest: int = parts.text_config.max_position_embeddings
        self._tokenizer = tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()

    def encode(self, image: Tensor) -> ConceptEmbedding:
        """Compute the features of images once, for any number of phrases."""
        image = convert_to_tensor(image, track_meta=False)
        if image.ndim != 4 or not image.isfinite().all():
            raise ValueError(
                f"image: expected finite intensities (B, 3, H, W), found {tuple(image.shape)} or NaN"
            )
        side = self.stack.encoder.image_size
        square = image
        if tuple(image.shape[-2:]) != (side, side):
            square = functional.interpolate(image.float(), (side, side), mode="bilinear", antialias=True)
        with self._active(), autocast(image.device, self.mixed_precision):
            levels = [level.float() for level in self.stack(square)]
        return ConceptEmbedding(levels, (image.shape[-2], image.shape[-1]))

    def tokenise(self, phrases: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token ids and mask, both (N, longest), of phrases that :func:`check_phrases` lets pass.

        Raises:
            ValueError: a phrase that is empty, in another script, or longer than the encoder takes.
        """
        coded = self._tokenizer.encode_batch(check_phrases(phrases))
        ids = torch.zeros(len(coded), self.longest, dtype=torch.long, device=self.detector.device)
        mask = torch.zeros_like(ids)
        for row, (phrase, code) in enumerate(zip(phrases, coded, strict=True)):
            if len(code.ids) > self.longest:
                raise ValueError(
                    f"phrase {phrase!r:.60}…: expected up to {self.longest} tokens, as the encoder takes, found "
                    f"{len(code.ids)}"
                )
            ids[row, : len(code.ids)] = torch.tensor(code.ids)
            mask[row, : len(code.ids)] = 1
        return ids, mask

    def answer(
        self,
        embedding: ConceptEmbedding,
        ids: Tensor,
        mask: Tensor,
        boxes: Tensor | None = None,
        box_labels: Tensor | None = None,
        owner: Tensor | None = None,
    ) -> Sam3ImageSegmentationOutput:
        """Return SAM 3's raw output for P phrases, all at once, for training.

        Args:
            embedding: of B images.
            ids, mask: (P, T), of the phrases.
            boxes: (P, K, 4), (x0, y0, x1, y1) in pixels of the image, around examples of each phrase's concept.
            box_labels: (P, K), 1 for an example, 0 for a counterexample and -10 for none; examples if not given.
            owner: (P,), the image of each phrase; the first one if not given.

        Raises:
            ValueError: boxes of another shape, not finite, empty or outside the image.
        """
        owner = torch.zeros(len(ids), dtype=torch.long, device=ids.device) if owner is None else owner
        levels = tuple(level[owner] for level in embedding.levels)
        position: Any = self.stack.encoder.model.neck.position_encoding  # type: ignore[union-attr]
        places = tuple(position(level.shape, level.device, level.dtype) for level in levels)
        words: Any = self.detector.get_text_features(input_ids=ids, attention_mask=mask)
        output = self.detector(
            vision_embeds=Sam3VisionEncoderOutput(fpn_hidden_states=levels, fpn_position_encoding=places),
            text_embeds=words,  # the whole object: it is read by its name
            attention_mask=mask,
            input_boxes=None if boxes is None else _relative(boxes, box_labels, embedding.size),
            input_boxes_labels=None if boxes is None or box_labels is None else box_labels,
        )
        assert isinstance(output, Sam3ImageSegmentationOutput)
        return output

    @torch.no_grad()
    def segment(
        self,
        image: Tensor | ConceptEmbedding,
        phrases: Sequence[str] | None = None,
        boxes: Tensor | None = None,
        box_labels: Tensor | None = None,
        threshold: float = INSTANCE_SCORE,
    ) -> list[PhraseInstances]:
        """Find the instances of each phrase in one image.

        Args:
            image: (1, 3, H, W), normalised for the encoder, or its embedding.
            phrases: nouns with what describes them; None for boxes alone.
            boxes: (K, 4), (x0, y0, x1, y1) in pixels, around examples of the concept, for each phrase the same.
            box_labels: (K,), 1 for an example and 0 for a counterexample; examples if not given.
            threshold: score from which on an instance is returned.

        Raises:
            ValueError: neither phrases nor boxes, a phrase that cannot be read, or a box that does not fit.
        """
        if phrases is None and boxes is None:
            raise ValueError("expected phrases or boxes, found neither")
        if boxes is not None and (boxes.ndim != 2 or boxes.shape[1] != 4):
            raise ValueError(f"boxes: expected the shape (any, 4), found {tuple(boxes.shape)}")
        embedding = image if isinstance(image, ConceptEmbedding) else self.encode(image)
        if embedding.levels[0].shape[0] != 1:
            raise ValueError(f"expected one image, found {embedding.levels[0].shape[0]}")
        asked = list(phrases) if phrases is not None else [BOXES_ALONE]
        ids, mask = self.tokenise(asked)
        found = []
        for start in range(0, len(asked), PHRASES_AT_ONCE):
            part = slice(start, start + PHRASES_AT_ONCE)
            count = len(asked[part])
            shared = None if boxes is None else boxes[None].expand(count, -1, -1)
            labels = None if box_labels is None else box_labels[None].expand(count, -1)
            output = self.answer(embedding, ids[part], mask[part], shared, labels)
            found += [
                _instances(asked[start + row], output, row, embedding.size, threshold) for row in range(count)
            ]
        return found

    @contextmanager
    def _active(self) -> Iterator[None]:
        if tuple(self.stack.active) == self.adapters:
            yield
            return
        with self.stack.using(*self.adapters):
            yield


def _relative(boxes: Tensor, labels: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Return boxes as centre, width and height in shares of the image."""
    height, width = size
    real = torch.ones_like(boxes[..., 0], dtype=torch.bool) if labels is None else labels >= 0
    limit = boxes.new_tensor([width, height])
    if boxes.ndim != 3 or boxes.shape[2] != 4:
        raise ValueError(f"boxes: expected the shape (phrases, boxes, 4), found {tuple(boxes.shape)}")
    wrong = ~boxes.isfinite().all(-1) | (boxes < 0).any(-1) | (boxes > limit.repeat(2)).any(-1)
    wrong |= (boxes[..., 2:] <= boxes[..., :2]).any(-1)
    if (wrong & real).any():
        raise ValueError(
            f"boxes: expected x0 < x1 from 0 to {width} and y0 < y1 from 0 to {height}, found "
            f"{boxes[wrong & real][0].tolist()}"
        )
    low, high = boxes[..., :2] / limit, boxes[..., 2:] / limit
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def _instances(
    phrase: str, output: Sam3ImageSegmentationOutput, row: int, size: tuple[int, int], threshold: float
) -> PhraseInstances:
    """Return the instances of one phrase at the image's size; the masks of all others are never enlarged."""
    height, width = size
    presence = output.presence_logits[row].sigmoid().squeeze()  # type: ignore[index]
    scores = output.pred_logits[row].sigmoid() * presence  # type: ignore[index]
    order = scores.argsort(descending=True)
    kept = order[scores[order] >= threshold]
    masks = output.pred_masks[row, kept][:, None].float()  # type: ignore[index]
    large = (
        functional.interpolate(masks, size, mode="bilinear")[:, 0] > 0
        if len(kept)
        else masks.new_zeros((0, *size)).bool()
    )
    whole = functional.interpolate(output.semantic_seg[row, None].float(), size, mode="bilinear")[0, 0] > 0  # type: ignore[index]
    boxes = output.pred_boxes[row, kept] * scores.new_tensor([width, height, width, height])  # type: ignore[index]
    return PhraseInstances(phrase, float(presence), scores[kept], boxes, large, whole & (presence >= 0.5))
