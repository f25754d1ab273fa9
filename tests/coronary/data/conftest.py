"""ARCADE in miniature, in the published layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIDE = 64


def pixels(seed: int) -> np.ndarray:
    """Return an image that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes one split from {file name: (pixel seed, [(category, rings), ...])}."""

    def make(
        content: dict[str, tuple[int, list[tuple[int, list[list[float]]]]]],
        split: str = "train",
        subfolder: str = "syntax",
        edit: Callable[[dict[str, Any]], None] | None = None,
    ) -> Path:
        folder = tmp_path / "arcade" / subfolder / split
        (folder / "images").mkdir(parents=True)
        (folder / "annotations").mkdir()
        coco: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
        for number, (name, (seed, polygons)) in enumerate(content.items(), start=1):
            Image.fromarray(pixels(seed)).save(folder / "images" / name)
            coco["images"].append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
            for category, rings in polygons:
                coco["annotations"].append(
                    {
                        "id": len(coco["annotations"]) + 1,
                        "image_id": number,
                        "category_id": category,
                        "segmentation": rings,
                    }
                )
        if edit:
            edit(coco)
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
        return tmp_path / "arcade"

    return make
