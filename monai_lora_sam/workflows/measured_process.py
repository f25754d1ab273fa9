"""Run a command as a child process, and measure it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Lines of a failed command's output that its error repeats.
LAST_LINES = 12


@dataclass(frozen=True)
class Usage:
    """Hold the use of a child process and of the processes that it waited for.

    Attributes:
        cpu_seconds: processor time, of all threads together.
        wall_seconds: from start to end.
        peak_bytes: largest resident memory of one of the processes.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def run_measured(
    command: Sequence[str],
    variables: Mapping[str, str],
    log: Path,
    tell: Callable[[str], object] = lambda line: None,
) -> Usage:
    """Run a command to its end and return its use; its output goes to a log and, line by line, to `tell`.

    Args:
        command: program and arguments.
        variables: of the environment, for this child process alone.
        log: file to which the output is appended.
        tell: called with each line.

    Raises:
        RuntimeError: the command failed; the message holds its last lines and the log's path.
    """
    started, last = time.perf_counter(), deque[str](maxlen=LAST_LINES)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(command)}\n")
        child = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert child.stdout is not None
        try:
            for line in child.stdout:
                stream.write(line)
                stream.flush()
                if line.strip():
                    last.append(line.rstrip())
                    tell(line.strip())
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # the child and its workers, which it leads
            child.wait()
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        end = "\n  ".join(last)
        raise RuntimeError(f"{Path(command[0]).name} ended with {child.returncode}, see {log}:\n  {end}")
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    seconds = time.perf_counter() - started
    return Usage(used.ru_utime + used.ru_stime, seconds, used.ru_maxrss * scale)
