"""Load an encoder with its weights, and save one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.checkpoints import WEIGHTS, Checkpoint, open_checkpoint
from monai_lora_sam.encoders.conversion import (
    detect_form,
    infer_sam_config,
    read_vision_tensors,
    vision_config,
)
from monai_lora_sam.encoders.registry import ENCODERS, make_encoder

SHOWN = 20


def load_encoder(name: str, source: str | Path, image_size: int | None = None) -> ImageEncoder:
    """Build the encoder that a checkpoint holds, in float32.

    Takes whole-model, video and vision-only checkpoints of transformers' SAM 3 and SAM, and Meta's original
    ``sam_vit_{b,l,h}.pth`` with its fine-tuned relatives such as MedSAM. No random number is drawn.

    Args:
        name: of the encoder, see :func:`build_encoder`.
        source: file, folder or Hugging Face id, see :func:`open_checkpoint`.
        image_size: side in pixels that the encoder is meant for; by default that of the weights.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is damaged, of another family or architecture, or its tensors do not fit: the message
            lists what is missing, unexpected, of another shape, or not finite.
    """
    checkpoint = open_checkpoint(source)
    form = detect_form(checkpoint)
    family = ENCODERS[name].family
    if form.family != family:
        fitting = [other for other, entry in ENCODERS.items() if entry.family == form.family]
        raise ValueError(
            f"{checkpoint.source}: expected weights of family {family!r} for {name!r}, found family "
            f"{form.family!r}, which fits {' or '.join(map(repr, fitting))}."
        )
    tensors = read_vision_tensors(checkpoint, form)
    config = _config(name, checkpoint, tensors)
    with torch.device("meta"):
        encoder = make_encoder(name, config, image_size)
    _check_tensors(checkpoint, encoder.model.state_dict(), tensors)
    tensors = {key: tensor.to(torch.float32).contiguous() for key, tensor in tensors.items()}
    encoder.model.load_state_dict(tensors, strict=True, assign=True)
    return encoder


def _config(name: str, checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> Any:
    default = ENCODERS[name].config()
    config = vision_config(checkpoint)
    if config is None and ENCODERS[name].family == "sam":
        try:
            config = infer_sam_config(tensors, default)
        except KeyError as error:
            raise ValueError(
                f"{checkpoint.source}: the tensor {error} of SAM's encoder is missing."
            ) from error
    config = default if config is None else config
    for other, entry in ENCODERS.items():
        if other != name and entry.family == ENCODERS[name].family:
            same_as_other = _width_and_depth(config) == _width_and_depth(entry.config())
            if same_as_other and _width_and_depth(config) != _width_and_depth(default):
                raise ValueError(
                    f"{checkpoint.source}: expected weights of {name!r}, found those of {other!r}."
                )
    return config


def _width_and_depth(config: Any) -> tuple[int, int]:
    backbone = getattr(config, "backbone_config", config)
    return backbone.hidden_size, backbone.num_hidden_layers


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
    one only when it is whole; other files in the folder stay.
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
    folder.mkdir(parents=True, exist_ok=True)
    config = deepcopy(encoder.model.config)
    config.architectures = [type(encoder.model).__name__]
    state = {key: tensor.contiguous() for key, tensor in encoder.model.state_dict().items()}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as name:
        temporary = Path(name)
        config.save_pretrained(temporary)
        save_file(state, temporary / WEIGHTS, metadata={"format": "pt"})
        shutil.copymode(temporary / "config.json", temporary / WEIGHTS)  # safetensors makes it private
        for file in ("config.json", WEIGHTS):
            os.replace(temporary / file, folder / file)
    return folder
