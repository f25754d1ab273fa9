"""The same shards on a Ray cluster of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monai_lora_sam.prediction import (
    StagePredictor,
    begin_run,
    predict_on_ray,
    summarise_run,
    work_on_shards,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="Ray is no part of the extra dev: pip install 'monai-lora-sam[ray]'"
    ),
]


def test_a_cluster_gives_the_output_of_one_process_though_workers_are_killed(
    pictures_index: Path,
    stages: SimpleNamespace,
    predictor: StagePredictor,
    results: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
):
    import psutil
    import ray

    whole = begin_run(pictures_index, stages.vessels, tmp_path / "whole", shard_size=2)
    work_on_shards(whole, lambda: predictor)
    begin = {"index": pictures_index, "stage": stages.vessels, "out": tmp_path / "ray", "shard_size": 2}
    load = {"stage": stages.vessels, "weights": stages.base, "device": "cpu"}
    run = begin_run(**begin)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    killed: list[int] = []

    def kill_one() -> None:
        """Kill an actor in the middle of its first shard."""
        while not killed:
            for path in (run.out / "shards").glob(".*.saving.*"):
                process = int(path.name.split("-")[-2])
                if psutil.pid_exists(process) and process != os.getpid():
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                    return
            time.sleep(0.001)

    threading.Thread(target=kill_one, daemon=True).start()
    try:
        assert predict_on_ray(run, begin, load) == 7
    finally:
        ray.shutdown()
    assert killed and summarise_run(run).done == 14 and results(run.out) == results(whole.out)
