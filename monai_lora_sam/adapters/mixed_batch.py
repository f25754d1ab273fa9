"""Apply another adapter to each image of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import nn

from monai_lora_sam.adapters.stack import AdapterStack

#: PEFT's name of no adapter.
BASE = "__base__"


@contextmanager
def mixed_batch(stack: AdapterStack, names: Sequence[str | None]) -> Iterator[AdapterStack]:
    """Run batches inside the block with one adapter for each image, whichever names are active.

    PEFT's mixed batch does the work; a layer that sees an image as several windows gets its name once for each.

    Args:
        stack: in evaluation mode.
        names: of LoRA adapters, one for each image; None for the bare encoder.

    Raises:
        KeyError: a name that is not on the stack.
        ValueError: a name without LoRA, a stack in training mode, or a batch of another number of images.

    Example:
        >>> with mixed_batch(stack, ["ct", "mr", None]):  # doctest: +SKIP
        ...     features = stack(images)  # three images
    """
    names = list(names)
    if not names:
        raise ValueError("names: expected one for each image, found none")
    for name in {name for name in names if name is not None}:
        if not stack.record(name).is_lora:
            raise ValueError(
                f"{name}: expected a LoRA adapter, found strategy {stack.record(name).strategy!r}"
            )
    if stack.training:
        raise ValueError("expected a stack in evaluation mode, found one in training")
    peft_names = [BASE if name is None else name for name in names]

    def check(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if len(arguments[0]) != len(names):
            raise ValueError(f"expected a batch of {len(names)} images, found {len(arguments[0])}")

    def name_each(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        windows = len(arguments[0]) // len(names)  # of an image, which come one after another
        return arguments, {**named, "adapter_names": [name for name in peft_names for _ in range(windows)]}

    handles = [stack.encoder.register_forward_pre_hook(check)]
    handles += [
        module.register_forward_pre_hook(name_each, with_kwargs=True)
        for module in stack.encoder.modules()
        if isinstance(module, LoraLayer)
    ]
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()
