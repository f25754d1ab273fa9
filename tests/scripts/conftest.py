"""Load the scripts as modules, and draw what they read, small enough for seconds."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from monai.utils import set_determinism
from PIL import Image

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.data import write_datalist

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SIDE = 64
#: What makes a run of a bundle small. The shipped tiny base is taken, as the scripts do.
SMALL: dict[str, Any] = {
    "encoder_name": "tiny",
    "image_size": 56,
    "epochs": 1,
    "batch_size": 2,
    "head_width": 8,
    "mixed_precision": False,
    "show_progress": False,
    "device": "cpu",
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a script by its name, without running it; its neighbours can be imported as when it is run."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)  # where dataclasses look for their annotations
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run on one thread, and leave threads and random numbers as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture
def small() -> dict[str, Any]:
    """Return settings that make a run of a bundle small."""
    return dict(SMALL)


def _bar(index: int) -> tuple[int, int]:
    """Return the rows of a picture's horizontal vessel."""
    return 20 + 3 * (index % 8), 26 + 3 * (index % 8)


def _picture(index: int) -> np.ndarray:
    """Draw a dark horizontal vessel on noise."""
    pixels = np.random.default_rng(index).normal(180, 8, (SIDE, SIDE))
    top, bottom = _bar(index)
    pixels[top:bottom, 6:58] -= 110
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw four vessels to train on and two to validate on, in a datalist that serves every task.

    The left half of a vessel is ARCADE's segment 6, the right half 7; a lesion lies where they meet.
    """
    folder = tmp_path_factory.mktemp("phantoms")
    entries = []
    for index in range(6):
        top, bottom = _bar(index)
        segments = np.zeros((SIDE, SIDE), np.uint8)
        segments[top:bottom, 6:32], segments[top:bottom, 32:58] = 6, 7
        maps = {"image": _picture(index), "label": (segments > 0).astype(np.uint8), "segments": segments}
        for name, pixels in maps.items():
            Image.fromarray(pixels).save(folder / f"{name}_{index}.png")
        entry: dict[str, Any] = {name: str(folder / f"{name}_{index}.png") for name in maps}
        lesion = {"box_xyxy": [26, top, 38, bottom], "centre_xy": [32, (top + bottom) / 2]}
        entry["lesions"] = [{**lesion, "percent_diameter_stenosis": 60.0, "mld_px": 2.4}]
        entry |= {"case_id": f"phantom_{index}", "view": [30.0, -20.0] if index % 2 else None}
        entries.append(entry)
    write_datalist(
        folder / "datalist.json",
        name="bars",
        task="vessels",
        class_names=["background", "vessel"],
        splits={"training": entries[:4], "validation": entries[4:]},
    )
    return folder


@pytest.fixture(scope="session")
def arcade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the same kind of vessels in ARCADE's published layout: four to train on, two held out."""
    root = tmp_path_factory.mktemp("arcade")
    for number, (task, categories) in enumerate({"syntax": (5, 6), "stenosis": (26,)}.items()):
        index = 10 + 10 * number
        for split, count in (("train", 4), ("val", 2)):
            folder = root / task / split
            (folder / "images").mkdir(parents=True)
            (folder / "annotations").mkdir()
            known = enumerate([*ARCADE_CLASS_NAMES[1:], "stenosis"], 1)
            names = [{"id": category, "name": name} for category, name in known]
            coco: dict[str, list] = {"images": [], "annotations": [], "categories": names}
            for one in range(1, count + 1):
                index += 1
                Image.fromarray(_picture(index)).save(folder / "images" / f"{one}.png")
                coco["images"].append({"id": one, "file_name": f"{one}.png", "height": SIDE, "width": SIDE})
                top, bottom = _bar(index)
                edges = np.linspace(6, 58, len(categories) + 1) if task == "syntax" else (26, 38)
                for left, right, category in zip(edges[:-1], edges[1:], categories, strict=True):
                    ring = [left, top, right, top, right, bottom, left, bottom]
                    coco["annotations"].append(
                        {
                            "id": len(coco["annotations"]) + 1,
                            "image_id": one,
                            "category_id": category,
                            "segmentation": [[float(value) for value in ring]],
                            "bbox": [float(left), top, float(right - left), bottom - top],
                            "area": float((right - left) * (bottom - top)),
                            "iscrowd": 0,
                        }
                    )
            (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
    return root
