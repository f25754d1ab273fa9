"""What the networks that find the lumen learn from, and their training loop: one process, resumable to the bit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_lora_sam.coronary.phantom import MEASUREMENT_CONFIG, prepare_phantoms
from monai_lora_sam.files import atomic_file

SAVE_EVERY = 500
WARM_UP = 100


def training_phantoms(
    folder: Path, count: int, held_out: int, seed: int, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Draw phantoms with stenoses at all spacings and noise levels, where they are missing; return their datalist.

    Args:
        folder: where they lie.
        count, held_out: how many are under `training`, and further ones under `validation`.
        seed: of the phantoms.
        progress: called with (done, all) after each.

    Example:
        >>> len(training_phantoms(Path("phantoms"), 1200, 60, 10, print)["validation"])  # doctest: +SKIP
        60
    """
    total = count + held_out
    datalist = prepare_phantoms(folder, total, seed, held_out / total, progress, MEASUREMENT_CONFIG)
    return json.loads(datalist.read_text())


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
            with atomic_file(checkpoint) as temporary:
                torch.save({**state, "arguments": arguments, "step": step + 1}, temporary)
    network.requires_grad_(False).eval()


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine down to 1 %."""
    rise = min(1.0, (step + 1) / WARM_UP)
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))
