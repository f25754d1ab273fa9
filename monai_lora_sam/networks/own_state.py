"""Leave the base's weights out of a head's state, and take them over from where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def leave_base_out(head: nn.Module) -> None:
    """Make ``state_dict`` give a head's own tensors alone, and ``load_state_dict`` take them for a whole state.

    Args:
        head: its method ``is_own`` tells by a tensor's name whether it is the head's own, or the base's.
    """
    head.register_state_dict_post_hook(_without_base)
    head.register_load_state_dict_post_hook(_base_is_not_missing)


def take_base(
    head: Any,
    named: Iterable[tuple[str, str, Tensor]],
    tensors: Mapping[str, Tensor],
    source: str | Path,
    expected: str,
    overwrite: bool = False,
) -> None:
    """Copy the base's weights into a head; tensors that train keep theirs unless ``overwrite`` is set.

    Args:
        head: as for :func:`leave_base_out`.
        named: name at the source, name in the head and tensor of each weight of the base.
        tensors: the source's, by name.
        source: for the message of an error.
        expected: what the source should hold, for that message.
        overwrite: copy those that train as well.

    Raises:
        ValueError: a weight is missing, unexpected, or of another shape.
    """
    own = {key: (name, tensor) for key, name, tensor in named}
    wrong = sorted(own.keys() ^ tensors.keys())
    wrong += [key for key in own.keys() & tensors.keys() if own[key][1].shape != tensors[key].shape]
    if wrong:
        raise ValueError(
            f"{source}: expected {expected}, found {len(wrong)} tensors that do not fit: {', '.join(wrong[:5])}"
        )
    with torch.no_grad():
        for key, (name, tensor) in own.items():
            if overwrite or not head.is_own(name):
                tensor.copy_(tensors[key])


def _without_base(head: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        if not head.is_own(name.removeprefix(prefix)):
            del state[name]


def _base_is_not_missing(head: Any, incompatible: Any) -> None:
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if head.is_own(name)]
