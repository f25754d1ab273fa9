"""Draw small data sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

STUB = Path(__file__).with_name("stub_commands.py")


@pytest.fixture
def splits(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """Draw six pictures with a bright bar of 0/255 in the mask: every other one in colour, no two of one size."""
    entries = []
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 60, (32 + index, 40), dtype=np.uint8)
        mask = np.zeros_like(pixels)
        mask[8 + index : 14 + index, 5:30] = 255
        pixels[mask > 0] += 120
        picture = np.repeat(pixels[..., None], 3, axis=2) if index % 2 else pixels
        image, label = tmp_path / f"image_{index}.png", tmp_path / f"label_{index}.png"
        Image.fromarray(picture).save(image)
        Image.fromarray(mask).save(label)
        entries.append({"image": str(image), "label": str(label), "case_id": f"case_{index}"})
    return {"training": entries[:3], "validation": entries[3:5], "test": entries[5:]}


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stand-ins for nnU-Net's commands."""
    folder = tmp_path_factory.mktemp("commands")
    for name in ("plan_and_preprocess", "train", "predict"):
        script = folder / f"nnUNetv2_{name}"
        script.write_text(f"#!{sys.executable}\n" + STUB.read_text())
        script.chmod(0o755)
    return folder
