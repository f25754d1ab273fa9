"""SAM 3 by words: every instance of the concept that a phrase or example boxes name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam3.modeling_sam3 import Sam3ImageSegmentationOutput, Sam3VisionEncoderOutput

from monai_lora_sam.adapters import AdapterStack, apply_strategy
from monai_lora_sam.encoders import weights_source
from monai_lora_sam.networks.concept_head import ConceptHead
from monai_lora_sam.networks.concept_weights import open_concept_weights
from monai_lora_sam.networks.heads import HeadEntry
from monai_lora_sam.networks.phrases import MOST_PHRASES
from monai_lora_sam.networks.stage_network import StageNetwork

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


class TextSegmenter(StageNetwork):
    """Find every instance of a concept by words, by boxes around examples, or by both (Carion et al., 2025).

    The image encoder with its adapters is that of other stages: with its adapters off it gives their features bit for
    bit. The rest of SAM 3 (text encoder, geometry encoder, DETR, mask decoder) is transformers'. Images are scaled into
    the encoder's square, whatever their shape, as in SAM 3's training. Features are computed once for all phrases, and
    the detector answers a few phrases at a time.

    Args:
        stack: SAM 3's image encoder with adapters.
        head: the rest of SAM 3, with its weights and vocabulary.
        adapters: names of the image encoder's adapters that are summed; none for the bare encoder.
        strategy, name, mixed_precision: see :class:`StageNetwork`; the head runs in float32.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder.

    Example:
        >>> network = build_text_segmenter()  # doctest: +SKIP
        >>> [found] = network.segment(image, ["left kidney"])  # doctest: +SKIP
        >>> found.scores, found.masks.shape  # doctest: +SKIP
        (tensor([0.93]), torch.Size([1, 512, 512]))
    """

    head: ConceptHead
    head_reads_image = False

    def __init__(
        self,
        stack: AdapterStack,
        head: ConceptHead,
        adapters: Sequence[str] = (),
        strategy: str = "frozen",
        name: str = "words",
        mixed_precision: bool = True,
    ) -> None:
        config = head.network_config
        levels, width = set(stack.encoder.channels), config["detr_encoder_config"]["hidden_size"]
        if stack.encoder.family != "sam3" or levels != {width}:
            raise ValueError(
                f"expected SAM 3's image encoder with {width} channels, found "
                f"{stack.encoder.name!r} of family {stack.encoder.family!r} with {sorted(levels)}"
            )
        super().__init__(stack, head, tuple(adapters), strategy, name, mixed_precision)

    @classmethod
    def new(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: type[ConceptHead],
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
        text_strategy: str = "lora",
        text_last_n: int = 3,
        text_lora: dict[str, Any] | None = None,
    ) -> TextSegmenter:
        """Put SAM 3's detector on a stack.

        Args:
            stack, head, reads, name, strategy, last_n, lora, mixed_precision: see
                :func:`monai_lora_sam.networks.build_segmenter`; of the image encoder.
            pretrained: where SAM 3's weights are; True for its own.
            decoder, decoder_lora: what of the detector trains; ``trains`` and ``lora`` of :class:`ConceptHead`.
            text_strategy, text_last_n, text_lora: ``text`` of :class:`ConceptHead`.
        """
        if pretrained is False:
            raise ValueError("pretrained: expected weights of SAM 3, which bring its vocabulary, found False")
        read = open_concept_weights(weights_source(stack.encoder.name, pretrained))
        text = {"strategy": text_strategy, "last_n": text_last_n, "lora": text_lora}
        made = head(read.config, decoder, decoder_lora, text)
        made.take(read, overwrite=True)
        parents = tuple(stack.active)
        apply_strategy(stack, strategy, name, last_n=last_n, **(lora or {}))
        adapters = (*parents, name) if strategy == "lora" else parents
        return cls(stack, made, adapters, strategy, name, mixed_precision)

    @classmethod
    def join(  # type: ignore[override]
        cls, stack: AdapterStack, head: nn.Module, reads: Mapping[str, StageNetwork], **arguments: Any
    ) -> TextSegmenter:
        """Put a trained head back on the stack that it was trained on."""
        return cls(stack, head, **arguments)  # type: ignore[arg-type]

    @property
    def detector(self) -> Any:
        """Transformers' model, without its image encoder."""
        return self.head.detector

    @property
    def read_settings(self) -> dict[str, str]:
        return {"reads": "pyramid of a square", "side": str(self.stack.encoder.image_size)}

    def encode(self, image: Tensor) -> ConceptEmbedding:
        """Compute the features of images once, for any number of phrases."""
        image = convert_to_tensor(image, track_meta=False)
        if image.ndim != 4 or not image.isfinite().all():
            raise ValueError(
                f"image: expected finite intensities (B, 3, H, W), found {tuple(image.shape)} or NaN"
            )
        return ConceptEmbedding(self.read(image), (image.shape[-2], image.shape[-1]))

    def read(self, image: Tensor, **conditions: Tensor | None) -> list[Tensor]:
        """Return the encoder's pyramid for images that are scaled into its square."""
        return self.embed(self.prepare(image))

    def embed(self, square: Tensor) -> list[Tensor]:
        """Return the encoder's pyramid for what :meth:`prepare` returned."""
        with self._active(), self.autocast(square.device):
            return [level.float() for level in self.stack(square)]

    def prepare(self, image: Tensor) -> Tensor:
        """Scale images into the encoder's square, whatever their shape, as in SAM 3's training."""
        side = self.stack.encoder.image_size
        if tuple(image.shape[-2:]) == (side, side):
            return image
        return functional.interpolate(image.float(), (side, side), mode="bilinear", antialias=True)

    def tokenise(self, phrases: Sequence[str], limit: int | None = MOST_PHRASES) -> tuple[Tensor, Tensor]:
        """Return token ids and mask, both (N, longest); see :meth:`ConceptHead.tokenise`."""
        return self.head.tokenise(phrases, limit)

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


#: The entry of SAM 3's detector.
CONCEPTS = HeadEntry(ConceptHead, TextSegmenter)
