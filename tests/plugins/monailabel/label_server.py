"""A real server of the MONAI Label app, and pictures for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import requests
from PIL import Image

APP = Path(__file__).resolve().parents[3] / "plugins" / "monailabel"
ENCODER, SIDE = "medsam_lite", 64
#: Seconds until a server answers, imports on a busy machine included.
START_S = 900


def write_picture(path: Path, seed: int, size: tuple[int, int] = (96, 128)) -> None:
    """Write a grey picture with a bright ellipse."""
    height, width = size
    down, across = np.mgrid[:height, :width]
    inside = ((down - height / 2) / (height / 4)) ** 2 + ((across - width / 2) / (width / 5)) ** 2 < 1
    noise = np.random.default_rng(seed).normal(0, 12, size)
    Image.fromarray(np.clip(80 + 90 * inside + noise, 0, 255).astype(np.uint8)).save(path)


class Server:
    """A running server, its studies and its log."""

    def __init__(self, studies: Path, base: Path) -> None:
        self.studies, self.base, self.log = studies, base, studies.parent / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> Server:
        command = [sys.executable, "-m", "monailabel.main", "start_server"]
        command += ["--app", str(APP), "--studies", str(self.studies)]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        for entry, value in {
            "bases": ENCODER,
            "weights": f"{ENCODER}={self.base}",
            "image_size": f"{ENCODER}={SIDE}",
            "device": "cpu",
        }.items():
            command += ["--conf", entry, value]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MONAI_LABEL_SESSION_PATH": str(self.studies.parent),
        }
        environment.pop("PYTHONPATH", None)
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
        raise RuntimeError(f"the server did not answer in {START_S} s:\n{self.log.read_text()[-3000:]}")

    def ask(self, method: str, path: str, body=None, **arguments):
        """Return the answer to a request."""
        return requests.request(method, self.url + path, json=body, timeout=300, **arguments)

    def wait_for_image(self, image: str, there: bool = True) -> None:
        """Wait until the watcher of the folder has seen a file come or go."""
        for _ in range(200):
            found = [one["id"] for one in self.ask("GET", "/angiograms/api/images").json()]
            if (image in found) == there:
                return
            time.sleep(0.1)
        raise AssertionError(f"{image}: expected {'in' if there else 'not in'} {found}")

    def stop(self, kill: bool = False) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
