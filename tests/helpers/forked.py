"""Run code in a fork of the process of the tests, which has torch, MONAI and PEFT imported.

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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch


class Forked:
    """Start a function in a fork; it runs on one thread, and its output is appended to a file.

    Args:
        action: what to run; it may raise ``SystemExit``.
        log: file for the output.
        variables: of the environment, for the child alone.
        folder: working directory of the child.
    """

    def __init__(
        self,
        action: Callable[[], object],
        log: Path,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.log = log
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(action, variables or {}, folder)

    def _run(self, action: Callable[[], object], variables: Mapping[str, str], folder: Path | None) -> None:
        """Run the action and end the child, which must never return into the tests."""
        code = 1
        try:
            descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.excepthook = sys.__excepthook__
            os.environ.update(variables)
            if folder is not None:
                os.chdir(folder)
            torch.set_num_threads(1)  # a thread pool of the parent does not live on in a fork
            action()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
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
        """Kill the process by SIGKILL unless it has ended, and return its exit code."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert self.code is not None
        return self.code

    def said(self) -> str:
        """Return the output so far."""
        return self.log.read_text(encoding="utf-8")


def wait_for(*running: Forked, seconds: float = 600) -> None:
    """Wait until all have ended well; when one fails, or time is up, kill the others and fail with the output."""
    until = time.monotonic() + seconds
    try:
        while any(one.poll() is None for one in running) and not any(one.code for one in running):
            assert time.monotonic() < until, running[0].said()[-6000:]
            time.sleep(0.02)
        for one in running:
            assert not one.code, f"ended with {one.code}: {one.said()[-6000:]}"
    finally:
        for one in running:
            one.kill()


def module(words: Sequence[str]) -> Callable[[], object]:
    """Return what ``python -m WORDS`` does; for a fork, since it changes ``sys.argv``."""

    def run() -> None:
        sys.argv = list(words)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)

    return run


def run_forked(words: Sequence[str], log: Path, folder: Path | None = None) -> None:
    """Run ``python -m WORDS`` in a fork to its good end."""
    wait_for(Forked(module(words), log, folder=folder))


def run_ranks(count: int, words: Sequence[str], log: Path) -> None:
    """Run ``torchrun --nproc_per_node COUNT -m WORDS`` in forks: without torchrun's own process and all imports."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    start = partial(Forked, module(words), log)
    wait_for(*(start({**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(count)))
