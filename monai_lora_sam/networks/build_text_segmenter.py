"""Build SAM 3 with its words, from a checkpoint or with random weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from tokenizers import Tokenizer
from transformers.models.sam3.configuration_sam3 import Sam3Config, Sam3VisionConfig
from transformers.models.sam3.modeling_sam3 import Sam3Model

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.encoders import build_encoder, open_checkpoint
from monai_lora_sam.networks.text_segmenter import TextSegmenter

#: SAM 3's weights, to which Meta gives access on request.
WEIGHTS = "facebook/sam3"
TOKENIZER = "tokenizer.json"
_ENCODER = "vision_encoder."
#: Parts that are not of the detector for single images: the tracker of videos.
_OTHERS = ("tracker_model.", "tracker_neck.")


def build_text_segmenter(
    weights: str | Path = WEIGHTS,
    image_size: int | None = None,
    stack: AdapterStack | None = None,
    mixed_precision: bool = True,
) -> TextSegmenter:
    """Build SAM 3 as a text-promptable network.

    Args:
        weights: folder or Hugging Face id with SAM 3's configuration, weights and tokenizer in transformers' form, of
            the image model or of the video model.
        image_size: side in pixels of the square that images are scaled into; by default that of the weights.
        stack: the image encoder that other stages use, with their adapters; by default it is built from the weights.
        mixed_precision: see :class:`TextSegmenter`.

    Returns:
        The network in evaluation mode.

    Raises:
        FileNotFoundError: no such weights, or no tokenizer beside them.
        ValueError: weights that do not fit their configuration.
    """
    checkpoint = open_checkpoint(weights)
    folder = checkpoint.source if checkpoint.source.is_dir() else checkpoint.source.parent
    raw = dict(checkpoint.config or {})
    if raw.get("model_type") == "sam3_video":
        raw = dict(raw.get("detector_config") or {})
    if raw.get("model_type") != "sam3":
        raise ValueError(
            f"{folder}: expected the configuration of SAM 3 (model_type 'sam3'), found {raw.get('model_type')!r}"
        )
    vocabulary = folder / TOKENIZER
    if not vocabulary.is_file() and not Path(weights).exists():
        vocabulary = Path(hf_hub_download(str(weights), TOKENIZER))
    if not vocabulary.is_file():
        raise FileNotFoundError(f"{folder}: expected {TOKENIZER} beside the weights, found none")
    stack = stack or AdapterStack(build_encoder("sam3", folder, image_size))
    detector = new_detector(Sam3Config.from_dict(raw))
    mark = next(
        (
            name
            for name in checkpoint.names
            if name.endswith("text_projection.weight") and "text_encoder" not in name
        ),
        "",
    )
    prefix = mark.removesuffix("text_projection.weight")
    names = [
        name
        for name in checkpoint.names
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith((_ENCODER, *_OTHERS))
    ]
    tensors = {name.removeprefix(prefix): tensor for name, tensor in checkpoint.read(names).items()}
    expected = detector.state_dict()
    wrong = sorted(expected.keys() ^ tensors.keys())
    wrong += [
        name for name in expected.keys() & tensors.keys() if expected[name].shape != tensors[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{folder}: expected the weights of SAM 3's detector, found {len(wrong)} tensors that do not fit: "
            f"{', '.join(wrong[:5])}"
        )
    detector.load_state_dict(tensors)
    tokenizer = Tokenizer.from_file(str(vocabulary))
    return TextSegmenter(stack, detector, tokenizer, mixed_precision=mixed_precision).eval()


def new_detector(config: Sam3Config) -> Any:
    """Build SAM 3 with random weights and without its image encoder, which a stack holds.

    Example:
        >>> with torch.device("meta"):
        ...     detector = new_detector(Sam3Config())
        >>> round(sum(p.numel() for p in detector.parameters()) / 1e6)
        386
    """
    config = deepcopy(config)
    vision: Any = config.vision_config
    # A tiny encoder in the place of the large one, which would be built to be thrown away.
    config.vision_config = Sam3VisionConfig(
        fpn_hidden_size=vision.fpn_hidden_size,
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "image_size": 28,
            "pretrain_image_size": 28,
            "window_size": 2,
            "global_attn_indexes": [0],
        },
    )
    with torch.no_grad():
        detector = Sam3Model(config)
    del detector.vision_encoder
    return detector
