"""Run a command as a child process, and measure it."""

from __future__ import annotations

import json
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


#: Runs a command and writes its use to a pipe. Linux counts the memory of a process before it becomes another program,
#: so the command starts from this small process, not from a large one.
_STARTER = """
import json, os, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(int(sys.argv[1]), json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]).encode())
sys.exit(code if code >= 0 else 128 - code)
"""


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
    read, write = os.pipe()
    with log.open("a", encoding="utf-8") as stream, os.fdopen(read, "rb") as pipe:
        stream.write(f"$ {' '.join(command)}\n")
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _STARTER, str(write), *command],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(write,),
        )
        os.close(write)
        assert child.stdout is not None
        try:
            for line in child.stdout:
                stream.write(line)
                stream.flush()
                if line.strip():
                    last.append(line.rstrip())
                    tell(line.strip())
            code = child.wait()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # the starter, the command and its workers
            child.wait()
            raise
        used = pipe.read()
    if code != 0:
        end = "\n  ".join(last)
        raise RuntimeError(f"{Path(command[0]).name} ended with {code}, see {log}:\n  {end}")
    cpu_seconds, peak = json.loads(used)
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    return Usage(cpu_seconds, time.perf_counter() - started, peak * scale)
