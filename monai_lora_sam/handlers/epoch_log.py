"""Show a training run on the console and keep its history in a file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from tqdm import tqdm

from monai_lora_sam.files import atomic_write


class EpochLog:
    """Draw a progress bar for each epoch, then print and store one line: loss, scores, rate, seconds.

    Seconds are those of training and validation together: by the clock, and of the CPU in this process. The printed
    line ends with the time left, by the mean of this run's epochs.

    Args:
        path: a JSON-lines file; a resumed run appends to it.
        evaluator: its metrics join the line of the same epoch.
        show: draw and print; the file is written in any case.

    Example:
        >>> EpochLog("models/history.jsonl", evaluator).attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, evaluator: Engine | None = None, show: bool = True) -> None:
        self.path = Path(path)
        self.evaluator = evaluator
        self.first_rank = idist.get_rank() == 0
        self.show = show and self.first_rank
        self.bar: tqdm | None = None
        self.losses: list[float] = []
        self.started = self.cpu_started = 0.0
        self.seconds: list[float] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.end)

    def begin(self, engine: Engine) -> None:
        self.losses, self.started, self.cpu_started = [], time.perf_counter(), time.process_time()
        self.bar = tqdm(
            total=engine.state.epoch_length,
            desc=f"epoch {engine.state.epoch}/{engine.state.max_epochs}",
            disable=not self.show,
            leave=False,
        )

    def step(self, engine: Engine) -> None:
        loss = engine.state.output["loss"].item()  # type: ignore[index]  # a dict in MONAI's engines
        self.losses.append(loss)
        assert self.bar is not None  # begin() comes first
        self.bar.set_postfix(loss=f"{loss:.3f}")
        self.bar.update()

    def end(self, engine: SupervisedTrainer) -> None:
        assert self.bar is not None
        self.bar.close()
        line = {
            "epoch": engine.state.epoch,
            "loss": idist.all_reduce(sum(self.losses) / max(len(self.losses), 1)) / idist.get_world_size(),
            "learning_rate": engine.optimizer.param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - self.started, 1),
            "cpu_seconds": round(time.process_time() - self.cpu_started, 1),
        }
        if self.evaluator is not None and self.evaluator.state.epoch == engine.state.epoch:
            line |= {name: float(value) for name, value in self.evaluator.state.metrics.items()}
        self.seconds.append(time.perf_counter() - self.started)
        if self.show:
            hidden = ("epoch", "seconds", "cpu_seconds", "learning_rate")
            shown = {k: v for k, v in line.items() if k not in hidden}
            scores = "  ".join(f"{k} {v:.4f}" for k, v in shown.items())
            rest = (engine.state.max_epochs - engine.state.epoch) * sum(self.seconds) / len(self.seconds)
            left = f", {in_words(rest)} left" if engine.state.epoch < engine.state.max_epochs else ""
            tqdm.write(
                f"epoch {line['epoch']}/{engine.state.max_epochs}  {scores}  ({line['seconds']:.0f} s{left})"
            )
        if self.first_rank:
            self._write(line)

    def _write(self, line: dict) -> None:
        """Append the line; drop lines of this or later epochs that an interrupted run left."""
        kept = [old for old in read_history(self.path) if old["epoch"] < line["epoch"]]
        atomic_write(self.path, "".join(json.dumps(item) + "\n" for item in [*kept, line]))


def in_words(seconds: float) -> str:
    """Return a duration for people: seconds, minutes or hours.

    Example:
        >>> in_words(40), in_words(150), in_words(7000)
        ('40 s', '2 min', '1.9 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def read_history(path: str | Path) -> list[dict]:
    """Return the lines of an :class:`EpochLog`, a dict for each epoch; an empty list where there is no file."""
    path = Path(path)
    return [json.loads(text) for text in path.read_text().splitlines()] if path.is_file() else []
