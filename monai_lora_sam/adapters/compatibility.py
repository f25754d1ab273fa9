"""Check that an adapter fits the base, the stack and the name it is to be loaded on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_target_module_exists
from torch import nn

from monai_lora_sam.adapters.card import FORMAT, check_name
from monai_lora_sam.encoders import ImageEncoder


@dataclass(frozen=True)
class Weights:
    """Hold the fingerprint of a name on a stack, and whether it moved the encoder itself."""

    fingerprint: str
    moves_encoder: bool


def check_new_name(
    name: str,
    taken: Collection[str],
    encoder: ImageEncoder,
    where: str = "",
    moved_by: str | None = None,
) -> None:
    """Raise a ``ValueError``, which ``where`` begins, unless a new adapter can have this name.

    ``moved_by`` is its strategy if that moves weights of the encoder itself, which cannot be in 4 bits then.

    PEFT tells adapters apart by looking for ``.<name>.`` in parameter names and keeps them in a
    ``ModuleDict``: the name of a module of the encoder, or of an attribute of ``ModuleDict``, would mix
    adapters up.
    """
    check_name(name)
    if name in taken:
        raise ValueError(f"{where}an adapter {name!r} is on the stack already: {list(taken)}")
    parts = {
        part for key in (*dict(encoder.named_modules()), *encoder.state_dict()) for part in key.split(".")
    }
    in_peft = name in "lora_" or "lora_" in name or name in ("base_model", "base_layer")
    if name in parts or in_peft or hasattr(nn.ModuleDict(), name):
        raise ValueError(
            f"{where}adapter name {name!r} is also that of a part of the encoder or of PEFT: choose another"
        )
    if moved_by is not None and encoder.quantisation is not None:
        raise ValueError(
            f"{where}strategy {moved_by!r} moves weights of the encoder, which has them in {encoder.quantisation}: "
            "expected lora or frozen"
        )


def check_base(folder: str | Path, card: Mapping[str, Any], encoder: ImageEncoder, fingerprint: str) -> None:
    """Raise a ``ValueError`` unless the adapter was trained on this base, in the same precision of its weights."""
    expected = card["encoder"]
    if expected.get("name") and card.get("format", 1) < FORMAT:
        raise ValueError(
            f"{folder}: expected a card of form {FORMAT}, whose base fingerprint covers the architecture, found form "
            f"{card.get('format', 1)}; `monai-lora-sam adapters renew {folder}` brings it up to date"
        )
    if (expected.get("family"), expected.get("fingerprint")) != (encoder.family, fingerprint):
        raise ValueError(
            f"{folder}: expected the base it was trained on, {expected.get('name')} (family "
            f"{expected.get('family')}, fingerprint {expected.get('fingerprint')}); "
            f"found {encoder.name} (family {encoder.family}, fingerprint {fingerprint})"
        )
    trained_on, found = expected.get("quantisation"), encoder.quantisation
    if trained_on != found:
        raise ValueError(
            f"{folder}: expected {encoder.name} with weights in {trained_on or 'full precision'}, as it was trained "
            f"on, found {found or 'full precision'}; build_encoder(..., quantise={trained_on!r}) makes it"
        )


def check_fingerprint(folder: str | Path, card: Mapping[str, Any], found: str) -> None:
    """Raise a ``ValueError`` unless the weights that were read are those that the card names."""
    if card["fingerprint"] != found:
        raise ValueError(
            f"{folder}: expected weights of {card['name']!r} with fingerprint {card['fingerprint']:.64}, found {found}"
        )


def match_parents(
    folder: str | Path, card: Mapping[str, Any], present: Mapping[str, Weights]
) -> dict[str, str]:
    """Return of each parent in the card the name that it has on the stack.

    Raises:
        ValueError: if a parent is missing or is another version, or if the encoder on the stack was moved by
            something that the adapter was not trained on, or the other way round.
    """
    names: dict[str, str] = {}
    for parent in card["parents"]:
        same = [name for name, weights in present.items() if weights.fingerprint == parent["fingerprint"]]
        if not same:
            other = present.get(parent["name"])
            found = f"{parent['name']!r} with {other.fingerprint}" if other else f"only {list(present)}"
            raise ValueError(
                f"{folder}: expected its parent {parent['name']!r} with fingerprint {parent['fingerprint']} "
                f"on the stack, found {found}; load the parents first"
            )
        names[parent["name"]] = parent["name"] if parent["name"] in same else same[0]
    moves_encoder = card["strategy"] in ("last_n", "full")
    for name, weights in present.items():
        if name not in names.values() and (moves_encoder or weights.moves_encoder):
            mover, still = (card["name"], name) if moves_encoder else (name, card["name"])
            raise ValueError(
                f"{folder}: expected no encoder moved by others than its parents {list(names)}; "
                f"found {mover!r}, which moves the encoder and which {still!r} was not trained with"
            )
    return names


def lora_shapes(encoder: nn.Module, config: LoraConfig, where: str = "") -> dict[str, torch.Size]:
    """Return names and shapes of the tensors that PEFT stores for a configuration on this encoder.

    ``where`` begins the messages of errors.

    Raises:
        ValueError: a target that is neither a linear layer nor a 1 x 1 convolution, or is not in the encoder.
    """
    shapes = {}
    layers = config.layers_to_transform
    indices = [layers] if isinstance(layers, int) else layers or []
    blocks = len(getattr(encoder, "blocks", []))
    if any(index >= blocks for index in indices):
        raise ValueError(f"{where}adapter on the blocks {indices}: expected indices from 0 to {blocks - 1}")
    targets = config.target_modules
    unknown = set(targets) if isinstance(targets, (set, list)) else set()
    for key, module in encoder.named_modules():
        if not check_target_module_exists(config, key):
            continue
        unknown = {target for target in unknown if key != target and not key.endswith(f".{target}")}
        layer = module.get_base_layer() if isinstance(module, LoraLayer) else module
        inputs, outputs, kernel = _layer_sizes(key, layer, where)
        shapes[f"base_model.model.{key}.lora_A.weight"] = torch.Size((config.r, inputs, *kernel))
        shapes[f"base_model.model.{key}.lora_B.weight"] = torch.Size((outputs, config.r, *kernel))
    if unknown or not shapes:
        raise ValueError(f"{where}adapter targets {sorted(unknown)[:5]}: found none of them in the encoder")
    return shapes


def _layer_sizes(key: str, layer: nn.Module, where: str) -> tuple[int, int, tuple[int, ...]]:
    """Return inputs, outputs and kernel of a layer that LoRA can sit on."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features, ()
    found = type(layer).__name__
    if isinstance(layer, nn.Conv2d):
        if layer.kernel_size == (1, 1) and layer.groups == 1:
            return layer.in_channels, layer.out_channels, (1, 1)
        found += f" of {layer.kernel_size[0]} x {layer.kernel_size[1]} with {layer.groups} groups"
    raise ValueError(
        f"{where}adapter target {key!r}: expected a linear layer or a 1 x 1 convolution without groups, found {found}"
    )
