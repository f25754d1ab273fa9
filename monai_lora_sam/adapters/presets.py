"""Which linear layers of which transformer blocks an adapter sits on."""

from __future__ import annotations

from collections.abc import Sequence

from peft import LoraConfig

from monai_lora_sam.encoders import ImageEncoder

PRESETS: dict[str, dict[str, tuple[str, ...]]] = {
    "sam3": {
        "qv": ("attention.q_proj", "attention.v_proj"),
        "qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
        "proj": ("attention.o_proj",),
        "mlp": ("mlp.fc1", "mlp.fc2"),
        "all": (
            "attention.q_proj",
            "attention.k_proj",
            "attention.v_proj",
            "attention.o_proj",
            "mlp.fc1",
            "mlp.fc2",
        ),
    },
    # SAM v1 computes q, k and v with one fused matrix, adapted as a whole: "qv" and "qkv" are the same there.
    "sam": {
        "qv": ("attn.qkv",),
        "qkv": ("attn.qkv",),
        "proj": ("attn.proj",),
        "mlp": ("mlp.lin1", "mlp.lin2"),
        "all": ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"),
    },
}

# The name of the list of transformer blocks in transformers' SAM 3 and SAM v1 alike.
BLOCK_LIST = "layers"


def target_modules(family: str, preset: str) -> list[str]:
    """Return the names of the linear layers, relative to a transformer block, that a preset adapts.

    Args:
        family: ``ImageEncoder.family``, ``"sam3"`` or ``"sam"``.
        preset: ``"qv"``, ``"qkv"``, ``"proj"`` (attention output), ``"mlp"`` or ``"all"``.

    Raises:
        ValueError: if the family or the preset is unknown; the message lists the known ones.

    Example:
        >>> target_modules("sam3", "qv")
        ['attention.q_proj', 'attention.v_proj']
    """
    if family not in PRESETS:
        raise ValueError(f"unknown encoder family {family!r}: expected one of {sorted(PRESETS)}")
    if preset not in PRESETS[family]:
        raise ValueError(f"unknown adapter targets {preset!r}: expected one of {list(PRESETS[family])}")
    return list(PRESETS[family][preset])


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
    targets: str = "qv",
    dropout: float = 0.05,
    layers: int | Sequence[int] | None = None,
) -> LoraConfig:
    """Return PEFT's configuration of an adapter; arguments and errors as in :meth:`AdapterStack.add`."""
    if not isinstance(r, int) or isinstance(r, bool) or r <= 0:
        raise ValueError(f"r={r!r}: expected a whole number above 0")
    if not alpha > 0:
        raise ValueError(f"alpha={alpha!r}: expected a number above 0")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r}: expected 0 up to but not including 1")
    indices = layer_indices(layers, len(encoder.blocks))
    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=target_modules(encoder.family, targets),
        layers_to_transform=indices,
        layers_pattern=None if indices is None else [BLOCK_LIST],
    )
