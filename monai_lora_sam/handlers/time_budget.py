"""End a training after a fixed time."""

from __future__ import annotations

import time
from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from monai_lora_sam.handlers.epoch_log import read_history

#: Least number of times that a moving average forgets its past in a run, so that nothing of the start is left.
STEPS_OF_AVERAGE = 20


class TimeBudget:
    """End a training when its minutes are spent: in the middle of an epoch, after validation of its last state.

    Minutes are processor time of this process, of all threads together, where it trains on the CPU, and time by the
    clock on a GPU. They count from the construction of this object, loading of data and validations included. A resumed
    run adds the epochs in the history that its state has.

    Attach it after the handler that validates and before those that log and save.

    Args:
        minutes: of the run; None: no limit, and nothing else of this class acts.
        device: of the training.
        history: file of :class:`EpochLog`.
        validator: run at the end, unless the last epoch has been validated.
        average_momentum: least momentum of ignite's `EMAHandler`. It is at least 20 / steps, as
            without a limit; their number is estimated from the share of the time that is spent.

    Raises:
        ValueError: on attaching, a run of several processes, whose clocks would part them.

    Example:
        >>> TimeBudget(30, "cpu", "models/history.jsonl", evaluator).attach(trainer)  # doctest: +SKIP
    """

    def __init__(
        self,
        minutes: float | None,
        device: str | torch.device = "cpu",
        history: str | Path | None = None,
        validator: Evaluator | None = None,
        average_momentum: float | None = None,
    ) -> None:
        self.minutes = minutes
        self.history = history
        self.validator = validator
        self.average_momentum = average_momentum
        on_cpu = torch.device(device).type == "cpu"
        self.clock, self.field = (time.process_time, "cpu_seconds") if on_cpu else (time.time, "seconds")
        self.started, self.earlier = self.clock(), 0.0
        self.first = True

    @property
    def spent_seconds(self) -> float:
        """The seconds spent so far, earlier attempts included."""
        return self.earlier + self.clock() - self.started

    @property
    def share(self) -> float:
        """The share of the time that is spent, 0 to 1; 0 without a limit."""
        return 0.0 if self.minutes is None else min(self.spent_seconds / (60 * self.minutes), 1.0)

    def attach(self, engine: Engine) -> None:
        if self.minutes is None:
            return
        if idist.get_world_size() > 1:
            raise ValueError(f"max_minutes: expected one process, found {idist.get_world_size()}")
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin)  # a saved state is loaded by then
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.end)

    def begin(self, engine: Engine) -> None:
        if not self.first:
            return
        self.first = False
        if self.history is not None and engine.state.epoch_length:
            done = -(
                -engine.state.iteration // engine.state.epoch_length
            )  # the last epoch may be a part of one
            lines = [line for line in read_history(self.history) if line["epoch"] <= done]
            self.earlier = sum(line[self.field] for line in lines)
        if self.share >= 1 and engine.state.iteration > 0:
            engine.terminate()

    def step(self, engine: Engine) -> None:
        if self.average_momentum is not None:
            steps = engine.state.iteration / max(self.share, 1e-6)
            momentum = min(max(self.average_momentum, STEPS_OF_AVERAGE / steps), 0.5)
            engine.state.ema_momentum = momentum  # type: ignore[attr-defined]
        if self.share >= 1:
            engine.terminate_epoch()

    def end(self, engine: Engine) -> None:
        if self.share < 1:
            return
        if self.validator is not None and self.validator.state.epoch != engine.state.epoch:
            self.validator.run(engine.state.epoch)
        engine.terminate()


def budget_handler(budget: TimeBudget, validator: Evaluator) -> TimeBudget:
    """Return a budget as the handler that runs a validator when the time is spent.

    The learning rate follows the budget too, and is made before any validator can be.
    """
    budget.validator = validator
    return budget
