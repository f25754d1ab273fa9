"""A real server of the MONAI Label app on a free port, with small random networks for clicks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[3]
APP = REPOSITORY / "plugins" / "monailabel"
ENCODER, SIDE = "medsam_lite", 64
#: Seconds until a server answers, imports on a busy machine included.
START_S = 600

if str(APP) not in sys.path:
    sys.path.append(str(APP))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a promptable network with random weights."""
    from monai_lora_sam.networks import build_promptable

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_promptable(ENCODER, pretrained=False, image_size=SIDE, mixed_precision=False)
    return network.save_pretrained(tmp_path_factory.mktemp("base") / ENCODER)


@pytest.fixture(scope="session")
def save_adapter(base: Path):
    """Return a function that saves a random adapter; equal seeds give equal weights."""
    from monai_lora_sam.encoders import build_encoder
    from monai_lora_sam.stages import new_stage, save_stage

    def save(folder: Path, name: str, seed: int, **card) -> Path:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = new_stage(
                build_encoder(ENCODER, base, SIDE),
                head="prompts",
                name=name,
                lora={"r": 2},
                decoder="lora",
                pretrained=base,
            )
            for parameter in network.parameters():
                if parameter.requires_grad:
                    parameter.data += 0.2 * torch.randn_like(parameter)
        return save_stage(network, folder, task="organ", class_names=["organ"], **card)

    return save


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
        import requests

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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, base: Path, save_adapter) -> Iterator[Server]:
    """Start the app on a folder with six pictures, a phantom angiogram and two adapters."""
    from monai_lora_sam.coronary.phantom import generate_phantom

    studies = tmp_path_factory.mktemp("label") / "studies"
    (studies / "adapters").mkdir(parents=True)
    for number in range(6):
        write_picture(studies / f"picture{number}.png", number)
    phantom = generate_phantom(7)
    Image.fromarray(phantom.image).save(studies / "phantom.png")
    np.save(studies.parent / "phantom_vessels.npy", phantom.vessels)
    save_adapter(studies / "adapters" / "ct", "ct", 1, modality="CT")
    save_adapter(studies / "adapters" / "us" / "1", "us", 2, modality="US")
    running = Server(studies, base)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def alone(server: Server) -> SimpleNamespace:
    """Return the networks of the server, loaded here without it, by name."""
    from monai_lora_sam.prompting import load_promptable

    adapters = server.studies / "adapters"
    names = {"ct": adapters / "ct", "us/1": adapters / "us" / "1"}
    networks = {
        name: load_promptable(None, server.base, adapter=folder, device="cpu")
        for name, folder in names.items()
    }
    networks[ENCODER] = load_promptable(ENCODER, server.base, device="cpu")
    return SimpleNamespace(**{"networks": networks})


def multipart(params: dict) -> dict:
    """Return the form of MONAI Label's inference requests."""
    return {"data": {"params": json.dumps(params)}}
