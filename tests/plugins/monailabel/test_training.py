"""An adapter is trained on submitted labels, seen in the status, stopped, and used at once."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_server import ENCODER, SIDE

API = "/angiograms/api"
#: A training that takes seconds.
KEYS = {
    "image_size": SIDE,
    "epochs": 1,
    "batch_size": 2,
    "lora::r": 2,
    "prompts_per_image": 2,
    "rounds": 0,
    "mixed_precision": False,
    "show_progress": False,
}


def save_label(server, image: str, name: str) -> None:
    mask = np.zeros((96, 128, 3), np.uint8)
    mask[30:70, 40:90] = 255
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    version = server.ask("GET", f"{API}/label?image={image}").json()["version"]
    body = {
        "objects": [{"name": name, "mask": base64.b64encode(buffer.getvalue()).decode()}],
        "version": version,
    }
    assert server.ask("PUT", f"{API}/label?image={image}", body).status_code == 200


def wait(server, task: str, seconds: float = 900) -> dict:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        (found,) = [one for one in server.ask("GET", "/train/?all=true").json() if one["id"] == task]
        if found["status"] not in ("SUBMITTED", "RUNNING"):
            return found
        time.sleep(1)
    raise AssertionError(f"expected an end in {seconds} s, found {found}")


def test_a_new_version_is_trained_and_used(server) -> None:
    for number in range(3):
        save_label(server, f"picture{number}", "liver")
    body = {"name": "mine", "encoder": ENCODER, "minutes": 5, "device": "cpu", "keys": KEYS}
    started = server.ask("POST", "/train/adapter", body).json()
    done = wait(server, started["id"])
    details = "\n".join(done["details"])
    assert done["status"] == "DONE", details
    assert "adapter: mine/1" in details
    networks = {one["name"]: one for one in server.ask("GET", f"{API}/networks").json()}
    assert networks["mine/1"]["error"] is None
    session = server.ask("POST", f"{API}/sessions", {"image": "picture4"}).json()["session"]
    answer = server.ask(
        "POST", f"{API}/sessions/{session}/click", {"box": [40, 30, 90, 70], "network": "mine/1"}
    )
    assert answer.status_code == 200
    assert not (server.studies / "adapters" / ".training" / "mine").exists()
    assert (server.studies / "adapters" / "mine" / "report_1.html").is_file()


def test_a_training_is_stopped(server) -> None:
    for number in range(2):
        save_label(server, f"picture{number}", "liver")
    started = server.ask("POST", "/train/adapter", {"name": "stopped", "keys": KEYS}).json()
    for _ in range(600):
        (found,) = [one for one in server.ask("GET", "/train/?all=true").json() if one["id"] == started["id"]]
        if found["status"] == "RUNNING":
            break
        time.sleep(0.1)
    assert server.ask("DELETE", "/train/").json()["status"] == "STOPPED"
    assert wait(server, started["id"], 60)["status"] == "STOPPED"
    assert not (server.studies / "adapters" / "stopped").exists()
