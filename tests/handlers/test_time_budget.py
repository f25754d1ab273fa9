"""A training that a fixed time ends, on a clock that the test turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events

from monai_lora_sam.handlers import ResumableWarmupCosine, TimeBudget


class Run:
    """Train nothing, with steps of ten seconds, and note which steps and validations there were."""

    def __init__(self, minutes: float | None, history: Path | None = None, **arguments) -> None:
        self.now, self.steps, self.validated, self.ended = 100.0, 0, [], []
        self.validator = Engine(lambda engine, batch: None)
        self.validator.add_event_handler(
            Events.STARTED, lambda e: self.validated.append(self.trainer.state.epoch)
        )
        self.budget = TimeBudget(minutes, "cpu", history, None, **arguments)
        self.budget.clock, self.budget.started = (lambda: self.now), self.now
        self.budget.validator = self
        self.trainer = Engine(self._step)
        self.budget.attach(self.trainer)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda e: self.ended.append(e.state.epoch))
        self.state = self.validator.state

    def _step(self, engine: Engine, batch: int) -> None:
        self.now += 10
        self.steps += 1

    def run(self, epoch: int) -> None:  # of the validator
        self.validated.append(epoch)

    def train(self, epochs: int = 100) -> Run:
        self.trainer.run(range(4), max_epochs=epochs)
        return self


def test_training_ends_in_the_middle_of_an_epoch_after_a_validation():
    run = Run(1.0).train()
    assert run.steps == 6  # a minute
    assert run.validated == [2]
    assert run.ended == [1, 2]  # so that the state of the partial epoch is logged and saved
    assert run.budget.share == 1.0


def test_time_before_training_counts():
    run = Run(1.0)
    run.now += 35
    assert run.train().steps == 3


def test_without_a_limit_nothing_changes():
    run = Run(None).train(epochs=2)
    assert (run.steps, run.validated, run.budget.share) == (8, [], 0.0)


def test_a_resumed_run_adds_the_epochs_that_its_state_has(tmp_path: Path):
    history = tmp_path / "history.jsonl"
    lines = [{"epoch": epoch, "cpu_seconds": 30.0, "seconds": 99.0} for epoch in (1, 2, 3)]
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fresh = Run(1.5, history).train()
    assert fresh.steps == 9  # the lines of another run do not count
    resumed = Run(1.5, history)
    resumed.trainer.load_state_dict({"iteration": 6, "epoch_length": 4, "max_epochs": 100})
    resumed.train()
    assert resumed.steps == 3  # epochs 1 and 2, the second of them cut short, took a minute
    finished = Run(1.5, history)
    finished.trainer.load_state_dict({"iteration": 12, "epoch_length": 4, "max_epochs": 100})
    assert finished.train().steps == 0


def test_the_rate_follows_the_time(tmp_path: Path):
    run = Run(1.0)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    given = {"warmup_steps": 100, "t_total": 1000, "warmup_multiplier": 0.01}
    schedule = ResumableWarmupCosine(optimizer, share=lambda: run.budget.share, **given)
    by_steps = ResumableWarmupCosine(torch.optim.SGD([parameter], lr=1.0), **given)
    for seconds, step in ((3, 50), (33, 550), (60, 1000)):
        run.now = 100 + seconds
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(by_steps.lr_lambda(step), abs=1e-9)
    torch.save(schedule.state_dict(), tmp_path / "state.pt")
    schedule.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert schedule.share is not None


def test_the_average_forgets_its_start_in_a_short_run():
    run = Run(1.0, average_momentum=0.001)
    seen = []
    run.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.ema_momentum)
    )
    run.train()
    assert seen[-1] == 0.5  # six steps
    long = Run(1000.0, average_momentum=0.001)
    long.train(epochs=1)
    assert long.trainer.state.ema_momentum == pytest.approx(20 / 6000, rel=1e-6)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="max_minutes: expected one process, found 2"):
        Run(1.0)
