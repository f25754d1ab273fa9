"""A switch for attention as CUDA computes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_alone = False


@contextmanager
def fused_attention() -> Iterator[None]:
    """Attend by torch's fused kernel alone inside the ``with`` block, as on CUDA."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def fused_alone() -> bool:
    """Return whether the code runs inside such a block."""
    return _alone
