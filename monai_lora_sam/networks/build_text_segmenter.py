"""Build SAM 3 with its words from a checkpoint."""

from __future__ import annotations

from pathlib import Path

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks.concept_head import ConceptHead
from monai_lora_sam.networks.concept_weights import open_concept_weights
from monai_lora_sam.networks.text_segmenter import TextSegmenter

#: SAM 3's weights, to which Meta gives access on request.
WEIGHTS = "facebook/sam3"


def build_text_segmenter(
    weights: str | Path = WEIGHTS,
    image_size: int | None = None,
    stack: AdapterStack | None = None,
    mixed_precision: bool = True,
) -> TextSegmenter:
    """Build SAM 3 as a text-promptable network, all of it frozen.

    Args:
        weights: folder or Hugging Face id with SAM 3's configuration, weights and tokenizer in transformers' form, of
            the image model or of the video model; or a file in Meta's form, `sam3.pt`, with the tokenizer beside it.
        image_size: side in pixels of the square that images are scaled into; by default that of the weights.
        stack: the image encoder that other stages use, with their adapters; by default it is built from the weights.
        mixed_precision: see :class:`TextSegmenter`.

    Returns:
        The network in evaluation mode.

    Raises:
        FileNotFoundError: no such weights, or no tokenizer beside them.
        ValueError: weights that do not fit their configuration, or in neither form.
    """
    read = open_concept_weights(weights)
    head = ConceptHead(read.config)
    head.take(read)
    del read  # before the image encoder is read from the same file
    stack = stack or AdapterStack(build_encoder("sam3", weights, image_size))
    return TextSegmenter(stack, head, mixed_precision=mixed_precision).eval()
