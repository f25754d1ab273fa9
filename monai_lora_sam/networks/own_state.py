"""Leave the base's weights out of a head's state."""

from __future__ import annotations

from typing import Any

from torch import nn


def leave_base_out(head: nn.Module) -> None:
    """Make ``state_dict`` give a head's own tensors alone, and ``load_state_dict`` take them for a whole state.

    Args:
        head: its method ``is_own`` tells by a tensor's name whether it is the head's own, or the base's.
    """
    head.register_state_dict_post_hook(_without_base)
    head.register_load_state_dict_post_hook(_base_is_not_missing)


def _without_base(head: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        if not head.is_own(name.removeprefix(prefix)):
            del state[name]


def _base_is_not_missing(head: Any, incompatible: Any) -> None:
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if head.is_own(name)]
