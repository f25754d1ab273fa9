"""Segment the objects of one image that prompts show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_lora_sam.networks import (
    ImageEmbedding,
    PromptableSegmenter,
    PromptedMasks,
    TextPromptedSegmenter,
    TextSegmenter,
)
from monai_lora_sam.prompting.object_prompt import ObjectPrompt
from monai_lora_sam.transforms import NormalizeForEncoderd

#: Presence from which on an object that words name is in the image.
PRESENT = 0.5


@dataclass(frozen=True, eq=False)
class SegmentedObject:
    """Hold the mask of one object.

    Attributes:
        prompt: that showed the object.
        mask: (H, W) bool, or (H, W, D) of a volume.
        predicted_iou: the network's own estimate of the mask's intersection over union, 0..1; None of a volume.
        presence: probability that the object which words name is in the image; None without words.
    """

    prompt: ObjectPrompt
    mask: np.ndarray
    predicted_iou: float | None
    presence: float | None = None


def encode_pixels(network: PromptableSegmenter, pixels: np.ndarray) -> ImageEmbedding:
    """Compute the embedding of an image, for any number of prompts.

    Args:
        network: in evaluation mode.
        pixels: (H, W, 3), 0..1.

    Raises:
        ValueError: pixels of another shape, or that are not finite.
    """
    with torch.inference_mode():
        return network.encode(_normalised(network, pixels))


def _normalised(network: PromptableSegmenter | TextSegmenter, pixels: np.ndarray) -> Tensor:
    """Return pixels as an image (1, 3, H, W), normalised for the encoder and on its device."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected pixels (H, W, 3), found the shape {pixels.shape}")
    device = next(network.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))
    normalize = NormalizeForEncoderd("image", network.stack.encoder)
    return normalize({"image": image})["image"][None].to(device)


def answer_prompt(
    network: PromptableSegmenter,
    embedding: ImageEmbedding,
    prompt: ObjectPrompt,
    previous: Tensor | None = None,
) -> tuple[Tensor, float]:
    """Return the logits (1, 1, H, W) of the object that a prompt shows, and the predicted IoU of its mask, 0..1.

    Args:
        network: in evaluation mode.
        embedding: of the image.
        prompt: the object.
        previous: logits (1, 1, H, W) of an earlier answer about this object, which are refined.

    Raises:
        ValueError: a prompt that does not fit the image; the object is named.
    """
    masks = _decode(network, embedding, prompt, previous)
    return masks.best, float(masks.iou.max().clamp(0, 1))


def _decode(
    network: PromptableSegmenter,
    embedding: ImageEmbedding,
    prompt: ObjectPrompt,
    previous: Tensor | None = None,
    words: Tensor | None = None,
) -> PromptedMasks:
    device = embedding.features.device
    arguments = {name: tensor.to(device) for name, tensor in prompt.tensors().items()}
    if words is not None:
        arguments["words"] = words
    alone = prompt.box is None and words is None and len(prompt.points) == 1 and previous is None
    with torch.inference_mode():
        try:
            return network.decode(embedding, **arguments, masks=previous, multimask=alone)
        except ValueError as error:
            raise ValueError(f"{prompt.name}: {error}") from error


def segment_image(
    network: PromptableSegmenter | TextSegmenter, pixels: np.ndarray, prompts: Sequence[ObjectPrompt]
) -> list[SegmentedObject]:
    """Segment each prompted object of an image; the image is encoded once.

    Of a single point without a box, the network gives three masks and the one with the highest predicted intersection
    over union is taken, as Segment Anything does; of any other prompt it gives one. The mask of words is empty where
    the presence of their object is below one half. SAM 3 by its own words takes a box for an example, beside the words
    or alone, and its mask is that of the whole concept.

    Args:
        network: in evaluation mode.
        pixels: (H, W, 3), 0..1.
        prompts: the objects.

    Raises:
        ValueError: a prompt that does not fit the image, which names the object, pixels that are not finite, or words
            for a network that was taught none.

    Example:
        >>> network = build_promptable("medsam_lite")  # doctest: +SKIP
        >>> segment_image(network, pixels, [ObjectPrompt("kidney", box=(120, 187, 184, 250))])  # doctest: +SKIP
    """
    if isinstance(network, TextSegmenter):
        return _segment_concepts(network, pixels, prompts)
    words = _words(network, prompts)
    embedding = encode_pixels(network, pixels)
    found = []
    for prompt in prompts:
        masks = _decode(network, embedding, prompt, words=None if prompt.text is None else words[prompt.text])
        presence = None if masks.presence is None else float(masks.presence.sigmoid())
        mask = (masks.best[0, 0] > 0).cpu().numpy() & (presence is None or presence >= PRESENT)
        found.append(SegmentedObject(prompt, mask, float(masks.iou.max().clamp(0, 1)), presence))
    return found


def _segment_concepts(
    network: TextSegmenter, pixels: np.ndarray, prompts: Sequence[ObjectPrompt]
) -> list[SegmentedObject]:
    pointed = [prompt.name for prompt in prompts if prompt.points]
    if pointed:
        raise ValueError(f"{pointed[0]}: expected words or a box around an example for SAM 3, found a point")
    with torch.inference_mode():
        embedding = network.encode(_normalised(network, pixels))
    found = []
    for prompt in prompts:
        phrases = None if prompt.text is None else [prompt.text]
        boxes = None if prompt.box is None else torch.tensor([prompt.box], device=embedding.levels[0].device)
        try:
            [answer] = network.segment(embedding, phrases, boxes)
        except ValueError as error:
            raise ValueError(f"{prompt.name}: {error}") from error
        best = float(answer.scores[0]) if len(answer.scores) else 0.0
        found.append(SegmentedObject(prompt, answer.semantic.cpu().numpy(), best, answer.presence))
    return found


@torch.inference_mode()
def _words(network: PromptableSegmenter, prompts: Sequence[ObjectPrompt]) -> dict[str, Tensor]:
    """Return the sentence embedding (1, 1, width) of each phrase, all encoded at once."""
    phrases = list(dict.fromkeys(prompt.text for prompt in prompts if prompt.text is not None))
    if not phrases:
        return {}
    if not isinstance(network, TextPromptedSegmenter):
        raise ValueError(
            f"{phrases[0]!r:.80}: expected an adapter that was taught words (bundle text_adaptation), found "
            f"{network.stack.encoder.name!r} with prompts by {' and '.join(network.head.prompts)} alone"
        )
    with torch.inference_mode():
        encoded = network.encode_phrases(phrases)
    return {phrase: one[None, None] for phrase, one in zip(phrases, encoded, strict=True)}
