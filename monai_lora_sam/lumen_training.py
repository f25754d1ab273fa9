"""The training loop of the networks that find the lumen: one process, resumable to the bit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SAVE_EVERY = 500
WARM_UP = 100


def train_lumen_network(
    network: nn.Module,
    loss_at: Callable[[int], Tensor],
    checkpoint: Path,
    arguments: dict[str, Any],
    tell: Callable[[int, float], None],
) -> None:
    """Train a network by AdamW and half a cosine, going on from the checkpoint if there is one.

    Args:
        network: trained in place; left ready to run.
        loss_at: the loss of a step, which depends on the step's number alone.
        checkpoint: written every 500 steps and at the end.
        arguments: `steps`, `learning_rate`, and whatever else the run depends on.
        tell: called after each step with its number, from 1, and its loss.

    Raises:
        ValueError: if the checkpoint is of a run with other arguments.

    Example:
        >>> train_lumen_network(LumenGauge(), loss_at, Path("checkpoint.pt"), arguments, print)  # doctest: +SKIP
    """
    steps = arguments["steps"]
    network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=arguments["learning_rate"], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    parts: dict[str, Any] = {"network": network, "optimiser": optimiser, "schedule": schedule}
    first = 0
    if checkpoint.is_file():
        kept = torch.load(checkpoint, weights_only=True)
        if kept["arguments"] != arguments:
            raise ValueError(
                f"{checkpoint}: expected a run with {arguments}, found {kept['arguments']}; give another --work"
            )
        first = kept["step"]
        for name, part in parts.items():
            part.load_state_dict(kept[name])
    for step in range(first, steps):
        loss = loss_at(step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        tell(step + 1, loss.item())
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state = {name: part.state_dict() for name, part in parts.items()}
            temporary = checkpoint.with_suffix(f".{os.getpid()}.tmp")
            torch.save({**state, "arguments": arguments, "step": step + 1}, temporary)
            temporary.replace(checkpoint)
    network.requires_grad_(False).eval()


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine down to 1 %."""
    rise = min(1.0, (step + 1) / WARM_UP)
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))
