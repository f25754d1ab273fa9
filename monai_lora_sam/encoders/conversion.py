"""Tell in which form a checkpoint holds a vision encoder, and give it transformers' names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from monai_lora_sam.encoders.checkpoints import Checkpoint

# The name of the patch projection tells the form; what stands before it is the prefix of the vision encoder:
# none (vision only), `vision_encoder.` (whole model), `detector_model.vision_encoder.` (video model),
# `image_encoder.` (Meta's SAM and MedSAM), each perhaps after a `module.` of data-parallel training.
PATCH_PROJECTIONS = {
    "sam3": "backbone.embeddings.patch_embeddings.projection.weight",
    "sam": "patch_embed.projection.weight",
    "sam_original": "patch_embed.proj.weight",
}

# Meta's names on the left, transformers' on the right.
ORIGINAL_NAMES = {
    r"^patch_embed\.proj\.": "patch_embed.projection.",
    r"^blocks\.(\d+)\.norm([12])\.": r"layers.\1.layer_norm\2.",
    r"^blocks\.(\d+)\.": r"layers.\1.",
    r"^neck\.0\.": "neck.conv1.",
    r"^neck\.1\.": "neck.layer_norm1.",
    r"^neck\.2\.": "neck.conv2.",
    r"^neck\.3\.": "neck.layer_norm2.",
}


@dataclass(frozen=True)
class Form:
    """Where and how a checkpoint holds a vision encoder."""

    family: str
    original: bool
    prefix: str


def original_to_transformers(name: str) -> str:
    """Give a parameter of Meta's image encoder its name in transformers.

    Example:
        >>> original_to_transformers("blocks.3.norm1.weight")
        'layers.3.layer_norm1.weight'
    """
    for pattern, replacement in ORIGINAL_NAMES.items():
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def detect_form(checkpoint: Checkpoint) -> Form:
    """Find the vision encoder among the names of a checkpoint.

    Raises:
        ValueError: there is none in a known form, or more than one.
    """
    found = []
    for kind, marker in PATCH_PROJECTIONS.items():
        for name in checkpoint.names:
            prefix = name.removesuffix(marker)
            if prefix != name and (prefix == "" or prefix.endswith(".")):
                found.append(Form("sam3" if kind == "sam3" else "sam", kind == "sam_original", prefix))
    if len(found) == 1 and not found[0].prefix.endswith("trunk."):
        return found[0]
    shown = ", ".join(sorted(checkpoint.names)[:5])
    raise ValueError(
        f"{checkpoint.source}: expected one vision encoder of SAM 3 (transformers' form) or SAM "
        f"(transformers' or Meta's form), found {len(found) if len(found) != 1 else 'one in another form'}. "
        f"Its {len(checkpoint.names)} names begin with: {shown}."
    )


def read_vision_tensors(checkpoint: Checkpoint, form: Form) -> dict[str, Tensor]:
    """Read the tensors of the vision encoder alone, under transformers' names."""
    names = [name for name in checkpoint.names if name.startswith(form.prefix)]
    tensors = {name.removeprefix(form.prefix): tensor for name, tensor in checkpoint.read(names).items()}
    if not form.original:
        return tensors
    return {original_to_transformers(name): tensor for name, tensor in tensors.items()}


def vision_config(checkpoint: Checkpoint) -> Any | None:
    """Return the vision part of ``config.json`` as transformers reads it, or ``None`` where there is none.

    Raises:
        ValueError: the configuration is of another kind of model.
    """
    raw = checkpoint.config
    if raw is None:
        return None
    from transformers import Sam3Config, Sam3VisionConfig, SamConfig, SamVisionConfig

    if raw.get("model_type") == "sam3_video":
        raw = raw.get("detector_config", {})
    kind = raw.get("model_type")
    if kind in ("sam3", "sam"):
        return (Sam3Config if kind == "sam3" else SamConfig).from_dict(raw).vision_config
    if kind in ("sam3_vision_model", "sam_vision_model"):
        return (Sam3VisionConfig if kind == "sam3_vision_model" else SamVisionConfig).from_dict(raw)
    raise ValueError(
        f"{checkpoint.source}: config.json says model_type {kind!r}; expected sam3, sam3_video, "
        "sam3_vision_model, sam or sam_vision_model."
    )


def infer_sam_config(tensors: Mapping[str, Tensor], default: Any) -> Any:
    """Read the configuration of a SAM encoder off the shapes of its weights.

    Args:
        tensors: of the vision encoder, under transformers' names.
        default: the configuration that decides what the shapes cannot tell: which blocks are global where a
            window is as large as the grid.

    Raises:
        KeyError: a tensor that the configuration is read from is missing.
    """
    from transformers import SamVisionConfig

    hidden_size, _, patch_size, _ = tensors["patch_embed.projection.weight"].shape
    grid = tensors["pos_embed"].shape[1]
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers."))
    spans = [(tensors[f"layers.{index}.attn.rel_pos_h"].shape[0] + 1) // 2 for index in range(layers)]
    windows = Counter(span for span in spans if span != grid)
    global_blocks = [index for index, span in enumerate(spans) if span == grid]
    return SamVisionConfig(
        hidden_size=hidden_size,
        output_channels=tensors["neck.conv1.weight"].shape[0],
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // tensors["layers.0.attn.rel_pos_h"].shape[1],
        image_size=grid * patch_size,
        patch_size=patch_size,
        mlp_dim=tensors["layers.0.mlp.lin1.weight"].shape[0],
        window_size=windows.most_common(1)[0][0] if windows else default.window_size,
        global_attn_indexes=global_blocks if windows else default.global_attn_indexes,
    )
