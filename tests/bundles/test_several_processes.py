"""Training by several processes: each bundle that no other test trains so, and a run of which a process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from monai_lora_sam.handlers import read_history
from monai_lora_sam.workflows import run_bundle

pytestmark = pytest.mark.slow
Settings = Callable[..., dict[str, Any]]
FILES = ["train.yaml", "multi_gpu_train.yaml"]
LAUNCHER = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]


@pytest.mark.parametrize("bundle", ["segment_classification", "modality_adapter", "text_adaptation"])
def test_two_processes_train_nearly_as_one_with_twice_the_batch(
    bundle: str, bundle_options: Settings, bundle_command: Callable, tmp_path: Path
):
    """Nearly: prompts are drawn in another order, and weights of classes are those of a process's own images."""
    options = bundle_options(bundle, tmp_path / "two", batch_size=1, augment=False)
    command = bundle_command(bundle, FILES, options, LAUNCHER)
    done = subprocess.run(command.words, env=command.environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    run_bundle(bundle, overrides=bundle_options(bundle, tmp_path / "one", batch_size=2, augment=False))
    two, one = (read_history(tmp_path / name / "history.jsonl") for name in ("two", "one"))
    assert [line["epoch"] for line in two] == [line["epoch"] for line in one] == [1, 2]
    for line, expected in zip(two, one, strict=True):
        assert line["learning_rate"] == pytest.approx(expected["learning_rate"], rel=1e-4)  # as many steps
        assert line["loss"] == pytest.approx(expected["loss"], rel=0.2)


def test_a_run_goes_on_after_a_process_died(
    bundle_options: Settings, bundle_command: Callable, tmp_path: Path
):
    same = {"lora#dropout": 0.0, "augment": False, "batch_size": 1, "epochs": 12}
    options = bundle_options("vessel_segmentation", tmp_path / "killed", **same)
    command = bundle_command("vessel_segmentation", FILES, options, LAUNCHER)
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command.words, env=command.environment, stdout=log, stderr=log)
        history = tmp_path / "killed" / "history.jsonl"
        deadline = time.monotonic() + 900
        while not (history.is_file() and len(read_history(history)) >= 2):
            assert running.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[
                -3000:
            ]
            time.sleep(0.02)
        ranks = [
            child
            for child in psutil.Process(running.pid).children()
            if "monai.bundle" in " ".join(child.cmdline())
        ]
        os.kill(ranks[-1].pid, signal.SIGKILL)
        assert running.wait(300) != 0
    assert len(read_history(history)) < 12
    done = subprocess.run(command.words, env=command.environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    run_bundle(
        "vessel_segmentation",
        overrides=bundle_options("vessel_segmentation", tmp_path / "one", **{**same, "batch_size": 2}),
    )
    found, expected = read_history(history), read_history(tmp_path / "one" / "history.jsonl")
    assert [line["epoch"] for line in found] == list(range(1, 13))
    assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in expected], rel=1e-3)
