"""Start and stop a server of the app on this machine, for benchmarks and tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

APP = Path(__file__).resolve().parents[1]
#: Seconds until a server answers, imports on a busy machine included.
START_S = 900


class LocalServer:
    """A server on the loopback address, with its log.

    Args:
        studies: folder of images.
        conf: entries of ``--conf``.
        log: file that its output is added to.
        port: None for a free one.

    Example:
        >>> with LocalServer(Path("studies"), {}, Path("server.log")) as server:  # doctest: +SKIP
        ...     server.ask("GET", "/info/").json()["models"]
    """

    def __init__(self, studies: Path, conf: Mapping[str, str], log: Path, port: int | None = None) -> None:
        self.studies, self.conf, self.log = studies, dict(conf), log
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> LocalServer:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; with the end of its log.
        """
        command = [sys.executable, "-m", "monailabel.main", "start_server"]
        command += ["--app", str(APP), "--studies", str(self.studies)]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        for entry, value in self.conf.items():
            command += ["--conf", entry, value]
        environment = {**os.environ, "MONAI_LABEL_SESSION_PATH": str(self.log.parent / "sessions")}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log.read_text()[-3000:]}")
            try:
                self.ask("GET", "/angiograms/api/networks")
                return self
            except OSError:
                time.sleep(0.5)
        self.stop(kill=True)
        raise RuntimeError(f"the server did not answer in {START_S} s:\n{self.log.read_text()[-3000:]}")

    def ask(self, method: str, path: str, body: Any = None, **arguments: Any) -> requests.Response:
        """Return the answer to a request; ``body`` is sent as JSON."""
        return requests.request(method, self.url + path, json=body, timeout=600, **arguments)

    def stop(self, kill: bool = False) -> None:
        """End the server, at once with ``kill``."""
        if self.process is None or self.process.poll() is not None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
