"""Read SAM 3's detector and its vocabulary from a checkpoint of transformers or of Meta."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import hf_hub_download
from torch import Tensor
from transformers.configuration_utils import PretrainedConfig
from transformers.models.sam3.configuration_sam3 import Sam3Config

from monai_lora_sam.encoders import Checkpoint, open_checkpoint, original_sam3_prefix, original_sam3_tensors

TOKENIZER = "tokenizer.json"
_ENCODER = "vision_encoder."
#: Parts that are not of the detector for single images: the tracker of videos.
_OTHERS = ("tracker_model.", "tracker_neck.")
#: Parts of SAM 3 besides its image encoder, by their entries in its configuration.
_PARTS = (
    "text_config",
    "geometry_encoder_config",
    "detr_encoder_config",
    "detr_decoder_config",
    "mask_decoder_config",
)


class ConceptWeights(NamedTuple):
    """Hold SAM 3 without its image encoder.

    Attributes:
        source: where it is, for messages.
        config: of the detector, as :class:`ConceptHead` takes it.
        tensors: by transformers' names.
        tokenizer: content of `tokenizer.json`.
    """

    source: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    tokenizer: str


def open_concept_weights(weights: str | Path) -> ConceptWeights:
    """Read SAM 3's detector.

    Args:
        weights: folder or Hugging Face id in transformers' form, of the image model or of the video model; or a file in
            Meta's form (`sam3.pt`), whose architecture is SAM 3's own unless a `config.json` lies beside it.

    Raises:
        FileNotFoundError: no such weights, or no tokenizer beside them.
        ValueError: another configuration, or weights in neither form.
    """
    checkpoint = open_checkpoint(weights)
    folder = checkpoint.source if checkpoint.source.is_dir() else checkpoint.source.parent
    original = original_sam3_prefix(checkpoint.names)
    raw = dict(checkpoint.config or ({} if original is None else {"model_type": "sam3"}))
    if raw.get("model_type") == "sam3_video":
        raw = dict(raw.get("detector_config") or {})
    if raw.get("model_type") != "sam3":
        raise ValueError(
            f"{checkpoint.source}: expected the configuration of SAM 3 (model_type 'sam3'), found "
            f"{raw.get('model_type')!r}"
        )
    tensors = _transformers_tensors(checkpoint) if original is None else _original(checkpoint, original)
    vocabulary = folder / TOKENIZER
    if not vocabulary.is_file() and not Path(weights).exists():
        vocabulary = Path(hf_hub_download(str(weights), TOKENIZER))
    if not vocabulary.is_file():
        raise FileNotFoundError(f"{folder}: expected {TOKENIZER} beside the weights, found none")
    config = plain_config(Sam3Config.from_dict(raw))
    return ConceptWeights(checkpoint.source, config, tensors, vocabulary.read_text(encoding="utf-8"))


def plain_config(config: Sam3Config) -> dict[str, Any]:
    """Return what a detector is built from, as JSON holds it, without what every configuration has."""
    common = PretrainedConfig().to_dict().keys() - {"model_type"}
    parts = {
        part: {key: value for key, value in getattr(config, part).to_dict().items() if key not in common}
        for part in _PARTS
    }
    vision: Any = config.vision_config
    return json.loads(json.dumps({**parts, "vision_config": {"fpn_hidden_size": vision.fpn_hidden_size}}))


def _transformers_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    mark = next(
        (
            name
            for name in checkpoint.names
            if name.endswith("text_projection.weight") and "text_encoder" not in name
        ),
        None,
    )
    if mark is None:
        raise ValueError(
            f"{checkpoint.source}: expected SAM 3 in the form of transformers or of Meta, found neither; its "
            f"{len(checkpoint.names)} names begin with: {', '.join(sorted(checkpoint.names)[:5])}"
        )
    prefix = mark.removesuffix("text_projection.weight")
    names = [
        name
        for name in checkpoint.names
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith((_ENCODER, *_OTHERS))
    ]
    return {name.removeprefix(prefix): tensor for name, tensor in checkpoint.read(names).items()}


def _original(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    found: Mapping[str, Tensor] = checkpoint.read(
        [
            name
            for name in checkpoint.names
            if name.startswith(prefix)
            and not name.removeprefix(prefix).startswith(("backbone.vision_backbone.", "tracker."))
        ]
    )
    return original_sam3_tensors({name.removeprefix(prefix): tensor for name, tensor in found.items()})
