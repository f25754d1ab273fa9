"""A name for a set of base weights that survives casting to another precision and wrapping in adapters."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_fingerprint(module: nn.Module) -> str:
    """Hash the parameters of a module.

    SHA-256 over the parameters sorted by name; of each, its name, its shape and its values as little-endian
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
    for name, parameter in sorted(module.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        if parameter.is_meta:
            on_meta = True
            continue
        values = parameter.detach().to("cpu", torch.float32).contiguous().numpy()
        digest.update(values.astype("<f4", copy=False).data)
    return f"meta:{digest.hexdigest()}" if on_meta else digest.hexdigest()
