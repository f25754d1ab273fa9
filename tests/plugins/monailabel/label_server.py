"""A real server with small random networks, and pictures for it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from label_app.local_server import LocalServer
from PIL import Image

ENCODER, SIDE = "medsam_lite", 64


def write_picture(path: Path, seed: int, size: tuple[int, int] = (96, 128)) -> None:
    """Write a grey picture with a bright ellipse."""
    height, width = size
    down, across = np.mgrid[:height, :width]
    inside = ((down - height / 2) / (height / 4)) ** 2 + ((across - width / 2) / (width / 5)) ** 2 < 1
    noise = np.random.default_rng(seed).normal(0, 12, size)
    Image.fromarray(np.clip(80 + 90 * inside + noise, 0, 255).astype(np.uint8)).save(path)


class Server(LocalServer):
    """A server whose clicks are answered by the random network in a folder."""

    def __init__(self, studies: Path, base: Path) -> None:
        conf = {
            "bases": ENCODER,
            "weights": f"{ENCODER}={base}",
            "image_size": f"{ENCODER}={SIDE}",
            "device": "cpu",
        }
        super().__init__(studies, conf, studies.parent / "server.log")
        self.base = base

    def wait_for_image(self, image: str, there: bool = True) -> None:
        """Wait until the watcher of the folder has seen a file come or go."""
        for _ in range(300):
            found = [one["id"] for one in self.ask("GET", "/angiograms/api/images").json()]
            if (image in found) == there:
                return
            time.sleep(0.1)
        raise AssertionError(f"{image}: expected {'in' if there else 'not in'} {found}")
