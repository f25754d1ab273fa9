"""Writers remove what dead writers of the same target left, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monai_lora_sam.files import atomic_write, leftovers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asks whether processes live")

KILLED = """
import os, sys
from monai_lora_sam.files import atomic_file
with atomic_file(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_the_next_writer_removes_the_file_of_a_killed_one(tmp_path: Path):
    state, other = tmp_path / "training_state.pt", tmp_path / "other.pt"
    for target in (state, other):
        subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    (left, foreign) = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    living = left.with_name(left.name.replace(left.name.split("-")[3], str(os.getppid())))
    living.write_text("in work")
    alike = tmp_path / ".training_state.pt.1234"
    alike.write_text("mine")
    atomic_write(state, "whole")
    assert set(tmp_path.iterdir()) == {state, foreign, living, alike}


def test_those_of_other_machines_go_by_age(tmp_path: Path):
    path = tmp_path / "left"
    path.touch()
    tag = "00000000-1-00000000"
    assert not leftovers.is_left_over(path, tag)
    os.utime(path, (0, 0))
    assert leftovers.is_left_over(path, tag)
