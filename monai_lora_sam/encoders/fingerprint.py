"""A name for a set of base weights that survives casting to another precision and wrapping in adapters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def weights_fingerprint(module: nn.Module) -> str:
    """Hash the parameters of a module, and the statistics of its batch normalisation.

    SHA-256 over these tensors sorted by name; of each, its name, its shape and its values as little-endian
    float32. Take it before a cast to a lower precision, so that one base has one fingerprint. Parameters on
    the meta device have no values: names and shapes alone are hashed, and the result starts with ``meta:``.

    Args:
        module: the plain base, without adapters.

    Returns:
        64 hexadecimal digits (after ``meta:`` on the meta device).

    Example:
        >>> len(weights_fingerprint(torch.nn.Linear(2, 2)))
        64
    """
    digest = hashlib.sha256()
    on_meta = False
    tensors = {
        name: value for name, value in module.state_dict(keep_vars=True).items() if value.is_floating_point()
    }
    for name, parameter in sorted(tensors.items()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        if parameter.is_meta:
            on_meta = True
            continue
        values = parameter.detach().to("cpu", torch.float32).contiguous().numpy()
        digest.update(values.astype("<f4", copy=False).data)
    return f"meta:{digest.hexdigest()}" if on_meta else digest.hexdigest()


def encoder_fingerprint(module: nn.Module, architecture: Mapping[str, Any]) -> str:
    """Hash the parameters of a module together with its architecture.

    The same weights compute something else with other heads, windows or positions: they are another base.

    Args:
        module: the plain base, without adapters.
        architecture: everything besides the weights that decides about the output, as JSON holds it.

    Returns:
        64 hexadecimal digits, after ``meta:`` on the meta device.
    """
    weights = weights_fingerprint(module)
    content = json.dumps([weights, _plain(architecture)], sort_keys=True)
    mark = "meta:" if weights.startswith("meta:") else ""
    return mark + hashlib.sha256(content.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Write equal numbers alike (4 and 4.0), and tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
