"""Load an encoder with its weights, and save one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.checkpoints import (
    CONFIG_SEAL,
    TORCH_SUFFIXES,
    WEIGHTS,
    Checkpoint,
    open_checkpoint,
)
from monai_lora_sam.encoders.conversion import fill_tensors, read_tensors
from monai_lora_sam.encoders.limits import check_sizes
from monai_lora_sam.encoders.quantise import (
    CONFIG_ENTRY,
    expect_quantised,
    is_quantised,
    quantised_config_entry,
    quantised_metadata,
)
from monai_lora_sam.encoders.registry import ENCODERS, EncoderEntry
from monai_lora_sam.files import atomic_write, content_sha256

#: Magnitude above which no trained weight lies; products of larger ones overflow.
LARGEST_VALUE = 1e8
#: Number of tensor names that a message lists of each kind.
SHOWN = 20


def load_encoder(name: str, source: str | Path, image_size: int | None = None) -> ImageEncoder:
    """Build the encoder that a checkpoint holds, in float32, or in 4 bits as :func:`save_encoder` wrote it.

    The encoder's entry says which forms of checkpoint hold it. SAM 3 and SAM: whole-model, video and vision-only
    checkpoints of transformers, Meta's original ``sam_vit_{b,l,h}.pth`` with its fine-tuned relatives such
    as MedSAM, and Meta's ``sam3.pt``. Weights of ``mini`` from ImageNet have no neck: it gets random ones, always the
    same. No random number is drawn from torch's global generator.

    Args:
        name: of the encoder, see :func:`build_encoder`.
        source: file, folder or Hugging Face id, see :func:`open_checkpoint`.
        image_size: side in pixels that the encoder is meant for; by default that of the weights.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is damaged, of another family or architecture, or its tensors do not fit: the message
            lists missing, unexpected, misshapen and non-finite tensors.
        ModuleNotFoundError: the weights are in 4 bits, and bitsandbytes is not installed.
    """
    entry: EncoderEntry = ENCODERS.load(name)
    checkpoint = open_checkpoint(source)
    if checkpoint.source.suffix in TORCH_SUFFIXES and _kind(checkpoint.config) not in (
        entry.model_types or ()
    ):
        # Unlike safetensors, such a file is not written with a configuration: what lies beside it may be another's.
        checkpoint = replace(checkpoint, config=None)
    tensors = read_tensors(checkpoint, name)
    check_sizes(checkpoint.config or {}, checkpoint.source)
    config = _config(name, entry, checkpoint, tensors)
    tensors |= fill_tensors(checkpoint, name, config)
    encoder = _build_on_meta(entry, name, image_size, config, checkpoint)
    expected = encoder.model.state_dict()
    if is_quantised(tensors):
        expected = expect_quantised(encoder, tensors, checkpoint.metadata, checkpoint.source)
    _check_tensors(checkpoint, expected, tensors)
    tensors = {
        key: (tensor.to(torch.float32) if tensor.is_floating_point() else tensor).contiguous()
        for key, tensor in tensors.items()
    }
    encoder.model.load_state_dict(tensors, strict=True, assign=True)
    return encoder


def _build_on_meta(
    entry: EncoderEntry, name: str, image_size: int | None, config: Any, checkpoint: Checkpoint
) -> ImageEncoder:
    """Build the encoder without memory for weights; their shapes are compared with the checkpoint's before any is."""
    try:
        with torch.device("meta"):
            return entry.build(name, image_size, config)
    except ValueError:
        raise
    except Exception as error:  # a stranger's configuration ends in almost any type
        raise ValueError(f"{checkpoint.source}: expected a configuration of {name!r}: {error}") from error


def _kind(config: Mapping[str, Any] | None) -> str:
    """Return the kind of network that a ``config.json`` is of."""
    return str((config or {}).get("model_type", (config or {}).get("architecture")))


def _config(name: str, entry: EncoderEntry, checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> Any:
    config = default = entry.config()
    if checkpoint.config is not None and entry.model_types:
        kind = _kind(checkpoint.config)
        if kind not in entry.model_types:
            raise ValueError(
                f"{checkpoint.source}: config.json: expected a model_type of {', '.join(entry.model_types)}, "
                f"found {kind!r}."
            )
        try:
            plain = {key: value for key, value in checkpoint.config.items() if key != CONFIG_ENTRY}
            config = entry.model_types[kind](plain)
        except Exception as error:  # transformers checks types with errors of its own, of several lines
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{checkpoint.source}: config.json: expected a {kind!r}: {reason:.300}"
            ) from error
    elif entry.infer_config is not None:
        try:
            config = entry.infer_config(tensors, default)
        except KeyError as error:
            raise ValueError(f"{checkpoint.source}: the tensor {error} of {name!r} is missing.") from error
    if entry.dimensions is not None and entry.dimensions(config) != entry.dimensions(default):
        _check_not_of_another(name, entry, entry.dimensions(config), checkpoint)
    return config


def _check_not_of_another(
    name: str, entry: EncoderEntry, dimensions: tuple[int, ...], checkpoint: Checkpoint
) -> None:
    """Refuse weights whose width and depth are those of another named encoder of the class."""
    for other in ENCODERS.names():
        candidate: EncoderEntry = ENCODERS.load(other)
        if candidate.encoder is not entry.encoder or candidate.dimensions is None:
            continue
        if candidate.dimensions(candidate.config()) == dimensions:
            raise ValueError(f"{checkpoint.source}: expected weights of {name!r}, found those of {other!r}.")


def _check_tensors(
    checkpoint: Checkpoint, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    shared = sorted(expected.keys() & found.keys())
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": [
            f"{key} (expected {tuple(expected[key].shape)}, found {tuple(found[key].shape)})"
            for key in shared
            if expected[key].shape != found[key].shape
        ],
        "not finite (NaN or infinity)": [key for key in shared if not found[key].isfinite().all()],
        f"beyond {LARGEST_VALUE:g}": [
            key for key in shared if found[key].numel() and found[key].abs().max() > LARGEST_VALUE
        ],
    }
    lines = []
    for what, keys in problems.items():
        if keys:
            more = f", and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
            lines.append(f"{len(keys)} {what}: {', '.join(keys[:SHOWN])}{more}")
    if lines:
        raise ValueError(
            f"{checkpoint.source}: the weights do not fit the encoder. " + "; ".join(lines) + "."
        )


def save_encoder(encoder: ImageEncoder, folder: str | Path) -> Path:
    """Save an encoder as transformers would: ``config.json`` and ``model.safetensors``, vision only.

    ``build_encoder(name, pretrained=folder)`` reads it, and so does transformers'
    ``Sam3VisionModel.from_pretrained(folder)`` (for SAM: ``SamVisionEncoder``). Each file replaces the old
    one only when it is whole; other files in the folder stay. An encoder in 4 bits is written in bitsandbytes' own
    form, with the fingerprint of the base that was quantised.
    The values in memory are saved: read back after a cast to bfloat16, the fingerprint is that of the rounded
    weights.

    Raises:
        ValueError: adapters are on the encoder; merge or remove them first.

    Example:
        >>> save_encoder(build_encoder("tiny"), "my_tiny")
    """
    wrapped = [name for name, _ in encoder.named_parameters() if ".base_layer." in name or ".lora_" in name]
    if wrapped:
        raise ValueError(
            f"{encoder.name}: expected a plain encoder, found adapters on it ({wrapped[0]}, ...)."
        )
    folder = Path(folder)
    config = getattr(encoder.model, "config", None)
    metadata = {"format": "pt"}
    if config is not None:
        config = deepcopy(config)
        config.architectures = [type(encoder.model).__name__]
        if encoder.quantisation is not None:
            setattr(config, CONFIG_ENTRY, quantised_config_entry())
        text = config.to_json_string()
        atomic_write(folder / "config.json", text)
        # So that a reader never takes the new configuration with the old weights.
        metadata[CONFIG_SEAL] = content_sha256(json.loads(text))
    state = {key: tensor.contiguous() for key, tensor in encoder.model.state_dict().items()}
    if encoder.quantisation is not None:
        metadata |= quantised_metadata(encoder, state)
    atomic_write(folder / WEIGHTS, save(state, metadata=metadata))
    return folder
