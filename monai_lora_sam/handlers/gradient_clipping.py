"""Clip gradients before each step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from ignite.engine import Engine
from monai.engines import IterationEvents


class GradientClipping:
    """Scale the gradients down to a largest norm after each backward pass.

    Args:
        parameters: that are trained.
        max_norm: largest Euclidean norm of all gradients together.

    Raises:
        ValueError: if `max_norm` is not above 0.

    Example:
        >>> GradientClipping(network.parameters(), 1.0).attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], max_norm: float = 1.0) -> None:
        if not max_norm > 0:
            raise ValueError(f"max_norm: expected a number above 0, found {max_norm}")
        self.parameters, self.max_norm = list(parameters), max_norm

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
