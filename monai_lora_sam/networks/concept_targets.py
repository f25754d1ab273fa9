"""Choose the layers of SAM 3's text encoder and detector that LoRA adapts, by presets or names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import nn

#: Preset of the text encoder (CLIP's) → layers, the first preset being the usual one.
TEXT_TARGETS: Mapping[str, str] = MappingProxyType(
    {
        "qkv": r"text_encoder\..*\.[qkv]_proj",
        "qv": r"text_encoder\..*\.[qv]_proj",
        "all": r"text_encoder\..*\.([qkv]_proj|out_proj|fc\d)",
    }
)
_ATTENTION = r"\..*attn\.[qkvo]_proj"
#: Preset of the detector → layers: the attention of DETR's encoder, its decoder or both, and all that may be adapted.
DETECTOR_TARGETS: Mapping[str, str] = MappingProxyType(
    {
        "detr": rf"detr_(encoder|decoder){_ATTENTION}",
        "detr_encoder": rf"detr_encoder{_ATTENTION}",
        "detr_decoder": rf"detr_decoder{_ATTENTION}",
        "all": rf"detr_(encoder|decoder)({_ATTENTION}|\..*\.mlp\.fc\d)|mask_decoder{_ATTENTION}",
    }
)


def concept_targets(
    detector: nn.Module, targets: str | Sequence[str], presets: Mapping[str, str], part: str
) -> list[str]:
    """Return the whole names of the linear layers that LoRA adapts in SAM 3 without its image encoder.

    Args:
        detector: transformers' model.
        targets: a preset, or ends of names of layers as in PEFT, such as ``vision_cross_attn.q_proj``.
        presets: those of this part, with a pattern for the whole name of a layer.
        part: ``text`` or ``detector``, for messages; names are looked for in this part alone.

    Raises:
        ValueError: an unknown preset, names that are no text, or one that no linear layer ends with.
    """
    linear = [
        name
        for name, module in detector.named_modules()
        if isinstance(module, nn.Linear)
        and name.startswith("text_encoder.") == (part == "text")
        and not name.startswith("geometry_encoder.")  # no phrase reaches it
    ]
    if isinstance(targets, str):
        if targets not in presets:
            raise ValueError(
                f"targets of the {part}: expected one of {list(presets)} or names of layers, found {targets!r}"
            )
        return [name for name in linear if re.fullmatch(presets[targets], name)]
    names = list(targets)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"targets of the {part}: expected a preset or names of layers, found {targets!r}")
    for name in names:
        if not any(f".{layer}".endswith(f".{name}") for layer in linear):
            raise ValueError(
                f"targets of the {part}: expected the end of a linear layer's name, found {name!r}"
            )
    return [layer for layer in linear if any(f".{layer}".endswith(f".{name}") for name in names)]
