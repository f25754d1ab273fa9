"""Refuse configurations that ask for networks beyond all use, before they are built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

#: Largest number of parameters: six times the largest named encoder (SAM ViT-H, 0.64 · 10⁹).
LARGEST_NETWORK = 4_000_000_000
#: Largest number in a configuration of sizes, such as a width or a side in pixels.
LARGEST_SIZE = 65536
#: Largest number of layers, and of entries in a list: eight times the deepest named encoder (32 blocks).
LARGEST_DEPTH = 256

Network = TypeVar("Network", bound=nn.Module)


def check_sizes(config: Any, source: str | Path) -> None:
    """Raise a ``ValueError`` if a number or a list in a configuration, at any depth, is beyond use.

    Args:
        config: as JSON holds it.
        source: named in messages.
    """
    entries = config.items() if isinstance(config, dict) else ()
    for key, value in entries:
        layers = isinstance(key, str) and "layers" in key
        limit = LARGEST_DEPTH if layers else LARGEST_SIZE
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (int, float)) and not abs(item) <= limit:
                raise ValueError(f"{source}: {key}: expected numbers up to {limit}, found {item!r:.40}")
            check_sizes(item, source)
        if isinstance(value, list) and len(value) > LARGEST_DEPTH:
            raise ValueError(f"{source}: {key}: expected at most {LARGEST_DEPTH} entries, found {len(value)}")


def build_checked(build: Callable[[], Network], config: Any, source: str | Path) -> Network:
    """Build a network from a stranger's configuration, after counting its parameters on the meta device.

    Args:
        build: makes the network.
        config: that it makes it from, as JSON holds it.
        source: named in messages.

    Raises:
        ValueError: sizes beyond :data:`LARGEST_NETWORK` or :data:`LARGEST_SIZE`, or a configuration that is none.

    Example:
        >>> build_checked(lambda: torch.nn.Linear(2, 3), {"width": 3}, "card.json").out_features
        3
    """
    check_sizes(config, source)
    try:
        with torch.device("meta"):
            sketch = build()
        count = sum(tensor.numel() for tensor in (*sketch.parameters(), *sketch.buffers()))
        if count > LARGEST_NETWORK:
            raise ValueError(f"expected at most {LARGEST_NETWORK} parameters, found {count}")
        return build()
    except Exception as error:  # a stranger's arguments end in almost any type
        reason = str(error).split("\n", 1)[0]
        raise ValueError(f"{source}: expected its own arguments, found {config!r:.200}: {reason}") from error
