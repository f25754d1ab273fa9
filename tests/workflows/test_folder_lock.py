"""Two trainings cannot share a folder; a dead one leaves it free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monai_lora_sam.workflows import lock_folder, release_folder

HOLD = """
import sys
from monai_lora_sam.workflows import lock_folder
lock_folder(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"expected no other training.*process {other.pid} on "):
            lock_folder(tmp_path)
        other.kill()
    lock_folder(tmp_path)
    lock_folder(tmp_path)  # again by the same process
    release_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
