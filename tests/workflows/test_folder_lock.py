"""Two trainings cannot share a folder; a dead one leaves it free."""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import pytest
from forked import Forked

from monai_lora_sam.workflows import lock_folder, release_folder


def hold(folder: Path) -> None:
    lock_folder(folder)
    print("held")
    signal.pause()


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path):
    log, folder = tmp_path / "output.txt", tmp_path / "models"
    log.touch()
    other = Forked(partial(hold, folder), log)
    try:
        while other.said() != "held\n" and other.poll() is None:
            time.sleep(0.02)
        with pytest.raises(ValueError, match=f"expected no other training.*process {other.pid} on "):
            lock_folder(folder)
    finally:
        assert other.kill() == -signal.SIGKILL, other.said()
    lock_folder(folder)
    lock_folder(folder)  # again by the same process
    release_folder(folder)
    assert list(folder.iterdir()) == []
