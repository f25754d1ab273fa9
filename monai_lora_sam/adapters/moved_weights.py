"""Weights of an encoder that a strategy without LoRA has moved, by the encoder's own parameter names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from monai_lora_sam.adapters import lora

_ADAPTERS = "adapters."


def moved_weights(encoder: nn.Module, modules: Sequence[str]) -> dict[str, Tensor]:
    """Return parameters and buffers of the named modules ("" is the whole encoder), without LoRA's.

    PEFT renames wrapped layers (``q_proj.base_layer.weight``); the names here are those of the plain encoder.
    """
    moved = {}
    for key, tensor in encoder.state_dict().items():
        parts = key.split(".")
        inside = any(module == "" or key.startswith(f"{module}.") for module in modules)
        if inside and not any(part.startswith("lora_") for part in parts):
            moved[".".join(part for part in parts if part != "base_layer")] = tensor
    return moved


def adapter_key(name: str, key: str) -> str:
    """Return the name on disk of a tensor of an adapter that moved together with the encoder."""
    return f"{_ADAPTERS}{name}.{key}"


def load_moved_weights(
    where: str,
    found: Mapping[str, Tensor],
    model: nn.Module,
    modules: Sequence[str],
    adapters: Mapping[str, str],
) -> None:
    """Copy saved weights into an encoder and into the adapters that moved with it.

    Args:
        where: the file, for messages.
        found: the weights that the file holds.
        model: the encoder, or PEFT's model around it, whose parameters are overwritten.
        modules: the modules that moved.
        adapters: names on the stack of the adapters that moved, by their names on disk.

    Raises:
        ValueError: if names or shapes are not those of this encoder and these adapters; nothing is copied.
    """
    encoder = lora.plain_encoder(model)
    expected = moved_weights(encoder, modules)
    for saved, name in adapters.items():
        current = lora.tensors_of(model, name)
        expected.update({adapter_key(saved, key): tensor for key, tensor in current.items()})
    check_shapes(where, expected, found)
    with torch.no_grad():
        for key, tensor in moved_weights(encoder, modules).items():
            tensor.copy_(found[key])
    for saved, name in adapters.items():
        moved = {key: found[adapter_key(saved, key)] for key in lora.tensors_of(model, name)}
        lora.set_tensors(model, name, moved)


def check_shapes(
    where: str, expected: Mapping[str, Tensor | torch.Size], found: Mapping[str, Tensor]
) -> None:
    """Raise a ``ValueError`` unless both mappings have the same names and shapes."""
    missing, unexpected = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unexpected:
        raise ValueError(
            f"{where}: expected {len(expected)} tensors, found {len(found)}; "
            f"missing {missing[:3]}, unexpected {unexpected[:3]}"
        )
    for name, tensor in found.items():
        wanted = expected[name]
        shape = wanted.shape if isinstance(wanted, Tensor) else wanted
        if tensor.shape != shape:
            raise ValueError(f"{where}: {name}: expected shape {tuple(shape)}, found {tuple(tensor.shape)}")
        if not tensor.is_floating_point() and (not isinstance(wanted, Tensor) or wanted.is_floating_point()):
            raise ValueError(f"{where}: {name}: expected floating point numbers, found {tensor.dtype}")
