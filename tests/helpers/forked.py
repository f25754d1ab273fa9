"""Run ``python -m MODULE …`` in a fork of the process of the tests, which has torch, MONAI and PEFT imported.

A process of its own, with its own memory, that a test can kill or run beside others, but without the 15 processor
seconds that those imports take.
"""

from __future__ import annotations

import os
import runpy
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch


class Forked:
    """Start ``python -m WORDS`` in a fork; it runs on one thread and its output is appended to a file.

    Args:
        words: a module's name and its arguments.
        log: file for the output.
        variables: of the environment, for the child alone.
        folder: working directory of the child.
    """

    def __init__(
        self,
        words: Sequence[str],
        log: Path,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.words, self.log, self.code = list(words), log, None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(variables or {}, folder)

    def _run(self, variables: Mapping[str, str], folder: Path | None) -> None:
        """Run the module and end the child, which must never return into the tests."""
        code = 1
        try:
            descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            os.environ.update(variables)
            if folder is not None:
                os.chdir(folder)
            torch.set_num_threads(1)  # a thread pool of the parent does not live on in a fork
            sys.argv = self.words
            runpy.run_module(self.words[0], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal as in :mod:`subprocess`, or None while it runs."""
        if self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def kill(self) -> int:
        """Kill the process by SIGKILL, wait for its end, and return its exit code."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert self.code is not None
        return self.code


def wait_for(*running: Forked, seconds: float = 300) -> None:
    """Wait until all have ended well; when one fails, or time is up, kill the others and fail with its output."""
    until = time.monotonic() + seconds
    try:
        while any(one.poll() is None for one in running):
            failed = [one for one in running if one.code]
            assert not failed and time.monotonic() < until, _output(failed or list(running))
            time.sleep(0.02)
        failed = [one for one in running if one.code]
        assert not failed, _output(failed)
    finally:
        for one in running:
            one.kill()


def run_forked(words: Sequence[str], log: Path, folder: Path | None = None) -> None:
    """Run ``python -m WORDS`` in a fork to its good end."""
    wait_for(Forked(words, log, folder=folder))


def run_ranks(count: int, words: Sequence[str], log: Path) -> None:
    """Run ``torchrun --nproc_per_node COUNT -m WORDS`` in forks, without torchrun's own processes and their imports."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    wait_for(
        *(Forked(words, log, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(count))
    )


def _output(ended: Sequence[Forked]) -> str:
    return "\n".join(f"{one.code}: {' '.join(one.words)}\n{one.log.read_text()[-6000:]}" for one in ended)
