"""Choose the layers and the blocks that an adapter sits on."""

from __future__ import annotations

from collections.abc import Sequence

from peft import LoraConfig

from monai_lora_sam.adapters.plain_lora import check_rank
from monai_lora_sam.encoders import ENCODERS, ImageEncoder


def target_modules(encoder: str, targets: str | Sequence[str] | None = None) -> list[str]:
    """Return the names of the layers that an adapter sits on, as PEFT matches them.

    Args:
        encoder: name of the encoder.
        targets: a preset of the encoder's entry, such as ``"qv"``, ``"qkv"``, ``"proj"`` (attention output),
            ``"mlp"`` or ``"all"``; or names of modules, which match every module whose name ends so. None is the
            entry's first preset: ``"qv"`` of transformers, ``"conv"`` of convolutional encoders.

    Raises:
        ValueError: an unknown encoder or preset, or names that are no text.

    Example:
        >>> target_modules("sam3", "qv")
        ['attention.q_proj', 'attention.v_proj']
    """
    if targets is not None and not isinstance(targets, str):
        names = list(targets)
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"targets: expected a preset or a list of module names, found {targets!r}")
        return names
    presets = ENCODERS.load(encoder).targets
    if targets is None:
        targets = next(iter(presets))
    if targets not in presets:
        raise ValueError(
            f"unknown adapter targets {targets!r} for {encoder!r}: expected one of {list(presets)}, or a list of "
            "module names"
        )
    return list(presets[targets])


def layer_indices(layers: int | Sequence[int] | None, block_count: int) -> list[int] | None:
    """Return the indices of the transformer blocks to adapt, or None for all of them.

    Args:
        layers: None (every block), an int n (the last n blocks) or a list of block indices from 0 on.
        block_count: how many blocks the encoder has.

    Raises:
        ValueError: if the request does not fit the encoder.

    Example:
        >>> layer_indices(2, block_count=12)
        [10, 11]
    """
    if layers is None:
        return None
    if isinstance(layers, int) and not isinstance(layers, bool):
        if not 1 <= layers <= block_count:
            raise ValueError(f"layers={layers} (the last {layers} blocks): expected 1 to {block_count}")
        return list(range(block_count - layers, block_count))
    if isinstance(layers, Sequence) and not isinstance(layers, str):
        indices = list(layers)
        valid = all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < block_count for i in indices)
        if indices and valid and len(set(indices)) == len(indices):
            return sorted(indices)
    raise ValueError(
        f"layers={layers!r}: expected None, a number of last blocks (1 to {block_count}) "
        f"or a list of distinct block indices (0 to {block_count - 1})"
    )


def lora_config(
    encoder: ImageEncoder,
    r: int = 16,
    alpha: int = 32,
    targets: str | Sequence[str] | None = None,
    dropout: float = 0.05,
    layers: int | Sequence[int] | None = None,
) -> LoraConfig:
    """Return PEFT's configuration of an adapter; arguments and errors as in :meth:`AdapterStack.add`."""
    check_rank(r, alpha, dropout)
    indices = layer_indices(layers, len(encoder.blocks))
    block_list = next(name for name, module in encoder.named_modules() if module is encoder.blocks)
    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=target_modules(encoder.name, targets),
        layers_to_transform=indices,
        layers_pattern=None if indices is None else [block_list.rpartition(".")[2]],
    )
