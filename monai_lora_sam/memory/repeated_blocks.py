"""Let one block stand for all that are built alike, since fake operators take as long as small real ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_lora_sam.memory.ledger import Ledger

#: Attributes that number a block and change nothing about its memory.
NUMBERS = ("layer_idx", "layer_index", "block_idx")


def join_alike(encoder: Any) -> dict[nn.Module, int]:
    """Replace blocks by an identity where a later one is built alike; return how many each one left stands for.

    The first and the last of each kind stay, and the last stands for those between: when it runs backward, the
    activations of all others are alive. The first may be the one at which the backward pass ends.
    """
    names = {id(module): name for name, module in encoder.named_modules()}
    kinds: dict[Any, list[nn.Module]] = {}
    for block in encoder.blocks:
        kinds.setdefault(_kind(block), []).append(block)
    for alike in kinds.values():
        for block in alike[1:-1]:
            encoder.set_submodule(names[id(block)], nn.Identity())
    firsts = {alike[0]: 1 for alike in kinds.values()}
    return firsts | {alike[-1]: max(1, len(alike) - 1) for alike in kinds.values()}


def follow(ledger: Ledger, counts: dict[nn.Module, int]) -> None:
    """Tell a ledger which block runs, forward and backward, and for how many it stands."""
    for block, count in counts.items():
        before: list[int] = []

        def enter(_: nn.Module, __: Any, count: int = count, before: list[int] = before) -> None:
            before.append(ledger.copies)
            ledger.copies = count
            ledger.open_block()

        def leave(_: nn.Module, __: Any, result: Any, count: int = count, before: list[int] = before) -> None:
            ledger.close_block()
            ledger.copies = before.pop()
            if isinstance(result, Tensor) and result.requires_grad:
                # The gradient of the result is the first of the block's backward pass.
                result.register_hook(lambda _: setattr(ledger, "copies", count))

        block.register_forward_pre_hook(enter)
        block.register_forward_hook(leave)


def _kind(block: nn.Module) -> Any:
    """Return what decides about the memory of a block: modules, their numbers and settings, shapes of weights."""
    parts: list[Any] = []
    for name, module in block.named_modules():
        settings = tuple(
            sorted(
                (key, value)
                for key, value in vars(module).items()
                if isinstance(value, bool | int | float | str | tuple)
                and key not in NUMBERS
                and not key.startswith("_")
            )
        )
        parts.append((name, type(module), repr(settings)))
    for name, p in (*block.named_parameters(), *block.named_buffers()):
        parts.append((name, tuple(p.shape), p.dtype, p.requires_grad))
    return tuple(parts)


def copies_of(network: nn.Module, counts: dict[nn.Module, int]) -> dict[int, int]:
    """Return by ``id`` of a parameter or buffer how many of it there are, where more than one."""
    return {
        id(tensor): count
        for block, count in counts.items()
        for tensor in (*block.parameters(), *block.buffers())
        if isinstance(tensor, torch.Tensor)
    }
