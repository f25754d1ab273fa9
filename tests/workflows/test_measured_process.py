"""Child processes: use, output, environment, failures."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from monai_lora_sam.workflows import run_measured


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_processor_time_and_memory_of_the_child_and_its_children(tmp_path: Path):
    inner = "import time\nblock = bytearray(80_000_000)\nwhile time.process_time() < 0.3: pass"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    usage = run_measured(_python(outer), {}, tmp_path / "log.txt")
    assert usage.cpu_seconds >= 0.3
    assert usage.peak_bytes >= 80_000_000
    assert usage.wall_seconds > 0


def test_the_memory_of_this_process_is_not_the_childs(tmp_path: Path):
    block = bytearray(300_000_000)
    usage = run_measured(_python("pass"), {}, tmp_path / "log.txt")
    assert len(block) > usage.peak_bytes


def test_lines_go_to_the_log_and_to_the_caller_and_variables_to_the_child_alone(tmp_path: Path):
    lines: list[str] = []
    code = "import os, sys; print(os.environ['COLOUR']); print('aside', file=sys.stderr)"
    run_measured(_python(code), {"COLOUR": "blue"}, tmp_path / "logs" / "log.txt", lines.append)
    assert sorted(lines) == ["aside", "blue"]
    assert "blue" in (tmp_path / "logs" / "log.txt").read_text()
    assert "COLOUR" not in os.environ


def test_a_failure_names_its_last_lines_and_the_log(tmp_path: Path):
    with pytest.raises(RuntimeError, match=r"ended with 3, see .*log\.txt:\n  no such luck"):
        run_measured(_python("print('no such luck'); raise SystemExit(3)"), {}, tmp_path / "log.txt")


def test_an_error_of_the_caller_ends_the_child(tmp_path: Path):
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    late = tmp_path / "late.txt"
    code = f"import time; print('begun', flush=True); time.sleep(1); open({str(late)!r}, 'w')"
    with pytest.raises(KeyboardInterrupt):
        run_measured(_python(code), {}, tmp_path / "log.txt", stop)
    time.sleep(1.5)
    assert not late.exists()
