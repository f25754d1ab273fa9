"""Workers that are killed lose the shard at hand, and others finish the run."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from monai_lora_sam.prediction import (
    PredictionRun,
    StagePredictor,
    WorkerPlace,
    begin_run,
    summarise_run,
    work_on_shards,
)

#: Workers are forked, so that they share the network that is loaded already.
FORK = multiprocessing.get_context("fork")


def _work(run: PredictionRun, predictor: StagePredictor, place: WorkerPlace, done: Any = None) -> None:
    torch.set_num_threads(1)  # the threads of OpenMP do not survive a fork
    reports = work_on_shards(run, lambda: predictor, place)
    if done is not None:
        done.put(len(reports))


def _start(*arguments: Any) -> Any:
    worker = FORK.Process(target=_work, args=arguments, daemon=True)
    worker.start()
    return worker


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_workers_leave_the_output_of_a_run_that_was_not(
    kills: int,
    pictures_index: Path,
    stages: SimpleNamespace,
    predictor: StagePredictor,
    results: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
):
    whole = begin_run(pictures_index, stages.vessels, tmp_path / "whole", shard_size=1)
    work_on_shards(whole, lambda: predictor)
    run = begin_run(pictures_index, stages.vessels, tmp_path / "killed", shard_size=1)
    generator = random.Random(0)
    for kill in range(kills):
        if run.is_done(run.shards - 1):  # nearly all is done: the next kills begin with less
            for shard in generator.sample(range(run.shards), run.shards // 2):
                shutil.rmtree(run.folder(shard), ignore_errors=True)
        victim = _start(run, predictor, WorkerPlace(kill % 2, 2))
        _wait(lambda victim=victim: _saving(run, victim.pid))
        time.sleep(generator.uniform(0, 0.03))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(60)
        assert victim.exitcode == -signal.SIGKILL
    work_on_shards(run, lambda: predictor)
    assert summarise_run(run).done == 14
    finished = results(run.out)
    assert finished == results(whole.out)
    assert sum(name.endswith("manifest.json") for name in finished) == 14
    assert not list((run.out / "shards").glob(".*"))  # the left-overs of killed workers are gone


def _wait(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _saving(run: PredictionRun, process: int) -> bool:
    return any(f"-{process}-" in path.name for path in (run.out / "shards").glob(".*.saving.*"))


def test_two_workers_share_the_shards(
    pictures_index: Path,
    stages: SimpleNamespace,
    predictor: StagePredictor,
    results: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
):
    whole = begin_run(pictures_index, stages.vessels, tmp_path / "whole", shard_size=3)
    work_on_shards(whole, lambda: predictor)
    run = begin_run(pictures_index, stages.vessels, tmp_path / "shared", shard_size=3)
    done = FORK.Queue()
    workers = [_start(run, predictor, WorkerPlace(number, 2), done) for number in range(2)]
    counts = [done.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sum(counts) == run.shards == 5 and results(run.out) == results(whole.out)
    assert not list((run.out / ".locks").iterdir())
