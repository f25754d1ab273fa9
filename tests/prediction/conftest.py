"""An index of a few pictures, and what a run wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.index import index_images
from monai_lora_sam.prediction import StagePredictor

pytest.importorskip("pyarrow")


@pytest.fixture(scope="session")
def pictures_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the index of 14 small pictures of different sizes."""
    folder = tmp_path_factory.mktemp("predicted")
    generator = np.random.default_rng(0)
    (folder / "study").mkdir()
    for number in range(14):
        pixels = generator.integers(0, 255, (40 + number, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "study" / f"{number:02d}.png")
    index_images([folder / "study"], folder / "index.parquet")
    return folder / "index.parquet"


@pytest.fixture(scope="session")
def predictor(stages: SimpleNamespace) -> StagePredictor:
    """Return the random stage 1, loaded once."""
    return StagePredictor(stages.vessels, weights=stages.base, device="cpu")


@pytest.fixture(scope="session")
def results() -> Callable[[Path], dict[str, Any]]:
    """Return the content of each file of a run's shards, the manifests without times."""

    def read(out: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted((out / "shards").rglob("*")):
            if path.is_file():
                content: Any = path.read_bytes()
                if path.name == "manifest.json":
                    content = {key: value for key, value in json.loads(content).items() if key != "seconds"}
                found[path.relative_to(out).as_posix()] = content
        return found

    return read
