"""A real server of the MONAI Label app on a free port, with small random networks for clicks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ENCODER, SIDE = "medsam_lite", 64
APP = Path(__file__).resolve().parents[3] / "plugins" / "monailabel"

# The app's own packages, and the helpers beside this file.
for folder in (APP, Path(__file__).resolve().parent):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, base: Path, save_adapter) -> Iterator[Any]:
    """Start the app on a folder with six pictures, a phantom angiogram and two adapters."""
    from label_server import Server, write_picture

    from monai_lora_sam.coronary.phantom import generate_phantom

    studies = tmp_path_factory.mktemp("label") / "studies"
    (studies / "adapters").mkdir(parents=True)
    for number in range(6):
        write_picture(studies / f"picture{number}.png", number)
    phantom = generate_phantom(7)
    Image.fromarray(phantom.image).save(studies / "phantom.png")
    np.save(studies.parent / "phantom_vessels.npy", phantom.vessel_mask)
    save_adapter(studies / "adapters" / "ct", "ct", 1, modality="CT")
    save_adapter(studies / "adapters" / "us" / "1", "us", 2, modality="US")
    running = Server(studies, base)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def alone(server: Any) -> SimpleNamespace:
    """Return the networks of the server, loaded here without it, by name."""
    from monai_lora_sam.prompting import load_promptable

    adapters = server.studies / "adapters"
    names = {"ct": adapters / "ct", "us/1": adapters / "us" / "1"}
    networks = {
        name: load_promptable(None, server.base, adapter=folder, device="cpu")
        for name, folder in names.items()
    }
    networks[ENCODER] = load_promptable(ENCODER, server.base, device="cpu")
    return SimpleNamespace(networks=networks)
