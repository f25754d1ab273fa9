"""Choose by one word which weights a stage trains besides its head."""

from __future__ import annotations

from typing import Any

from monai_lora_sam.adapters.card import STRATEGIES
from monai_lora_sam.adapters.stack import AdapterStack


def apply_strategy(
    stack: AdapterStack, strategy: str, name: str = "stage", *, last_n: int = 2, **lora_kwargs: Any
) -> None:
    """Add a name to a stack for one strategy and give gradients to the weights that it trains.

    ====================  =============================================================================
    ``lora``              the new adapter ``name``
    ``frozen``            nothing (heads only)
    ``last_n``            the last ``last_n`` transformer blocks, their own parameters only
    ``full``              the whole encoder and the adapters that are active
    ====================  =============================================================================

    Adapters that are active already stay active, and frozen except for ``full``. A name that is on the stack
    already under the same strategy is trained further as it is.

    Args:
        stack: with the adapters of earlier stages loaded and active, if there are any.
        strategy: one of the four.
        name: of the stage.
        last_n: number of blocks, used by ``last_n`` alone.
        lora_kwargs: arguments of :meth:`AdapterStack.add`, used by ``lora`` alone, so that a configuration
            changes its strategy by one key.

    Raises:
        ValueError: if the strategy is unknown, ``last_n`` does not fit the encoder, or the name is on the
            stack under another strategy.

    Example:
        >>> from monai_lora_sam.encoders import build_encoder
        >>> stack = AdapterStack(build_encoder("tiny"))
        >>> apply_strategy(stack, "last_n", "liver", last_n=1)
        >>> sum(parameter.requires_grad for parameter in stack.parameters())
        16
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r}: expected one of {list(STRATEGIES)}")
    if name in stack.names:
        found = stack.record(name).strategy
        if found != strategy:
            raise ValueError(f"{name!r} is on the stack with strategy {found!r}: expected {strategy!r}")
    elif strategy == "lora":
        stack.add(name, **lora_kwargs)
    elif strategy == "last_n":
        stack.add_strategy(name, strategy, _last_blocks(stack, last_n))
    else:
        stack.add_strategy(name, strategy, [""] if strategy == "full" else [])
    stack.train_only(name)


def _last_blocks(stack: AdapterStack, last_n: int) -> list[str]:
    blocks = list(stack.encoder.blocks)
    if not isinstance(last_n, int) or not 1 <= last_n <= len(blocks):
        raise ValueError(f"last_n={last_n!r}: expected 1 to {len(blocks)} blocks")
    names = {id(module): name for name, module in stack.encoder.named_modules()}
    return [names[id(block)] for block in blocks[-last_n:]]
