"""Stop a training whose loss or weights are no longer numbers."""

from __future__ import annotations

import math

import torch
from ignite.engine import Engine, Events


class FiniteTraining:
    """Stop at the first loss that is NaN or infinite, and at the end of an epoch that leaves such weights.

    Attach it before the handlers that validate and save, so that the last good state stays.

    Args:
        network: the network in training.

    Raises:
        ValueError: in the run, with epoch and step.

    Example:
        >>> FiniteTraining(network).attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.check_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.check_weights)

    def check_loss(self, engine: Engine) -> None:
        loss = engine.state.output["loss"].item()  # type: ignore[index]  # a dict in MONAI's engines
        if not math.isfinite(loss):
            raise ValueError(f"{_place(engine)}: expected a finite loss, found {loss}{_ADVICE}")

    def check_weights(self, engine: Engine) -> None:
        for name, weights in self.network.named_parameters():
            if weights.requires_grad and not torch.isfinite(weights).all():
                raise ValueError(
                    f"{_place(engine)}: expected finite weights, found others in {name}{_ADVICE}"
                )


_ADVICE = " (lower learning_rate; the state of the last good epoch is kept)"


def _place(engine: Engine) -> str:
    epoch, length = engine.state.epoch, engine.state.epoch_length or 1
    return f"epoch {epoch}, step {(engine.state.iteration - 1) % length + 1}"
