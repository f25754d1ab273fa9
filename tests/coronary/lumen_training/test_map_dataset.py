"""Crops of pictures and maps: all parts move together, and equal seeds give equal crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.coronary.lumen_training import MapCrops, WholeMaps


@pytest.fixture
def entries(tmp_path: Path) -> list[dict[str, Any]]:
    """Write three pictures of a vessel, narrowed in the middle, with two maps each."""
    found = []
    for index in range(3):
        label = np.zeros((96, 96), np.uint8)
        label[40 + index : 50 + index] = 1
        label[40 + index : 43 + index, 40:56] = 0
        paths = {name: str(tmp_path / f"{index}_{name}.png") for name in ("image", "label", "a", "b")}
        pictures = {"image": 200 - 120 * label, "label": label, "a": label * 180, "b": label * 180}
        for name, picture in pictures.items():
            Image.fromarray(picture).save(paths[name])
        maps = {name: paths.pop(name) for name in ("a", "b")}
        lesions = [{"box_xyxy": [40.0, 38.0, 56.0, 52.0]}]
        found.append({**paths, "maps": maps, "case_id": f"case_{index}", "lesions": lesions})
    return found


def test_a_crop_moves_picture_label_and_map_together(entries: list[dict[str, Any]]):
    crops = MapCrops(entries, window=64, side=32)
    for seed in range(8):
        crops.set_random_state(seed)
        item = crops[seed % 3]
        image, (label, _, found) = item["image"], item["label"]
        assert image.shape == item["probability"].shape == (1, 32, 32) and item["label"].shape == (3, 32, 32)
        assert all(part.min() >= 0 and part.max() <= 1 for part in item.values())
        torch.testing.assert_close(found, label * 180 / 255, atol=0.02, rtol=0)
        kept = item["probability"][0] > 0
        torch.testing.assert_close(item["probability"][0][kept], found[kept])  # elsewhere there are holes
        inside, outside = label > 0.9, label < 0.1
        if inside.any() and outside.any():
            assert image[0][inside].mean() < image[0][outside].mean()


def test_equal_seeds_give_equal_crops_in_any_order(entries: list[dict[str, Any]]):
    crops, again = (MapCrops(entries, window=64, side=32) for _ in range(2))
    crops.set_random_state(5)
    again.set_random_state(5)
    first = [crops[index] for index in range(3)]
    for index in (2, 0, 1):
        item = again[index]
        assert all(torch.equal(item[key], first[index][key]) for key in item)


def test_whole_maps_give_each_stage(entries: list[dict[str, Any]]):
    maps = WholeMaps(entries)
    assert len(maps) == 6 and [maps[index]["case"] for index in (0, 1)] == ["case_0_a", "case_0_b"]
    item = maps[3]
    assert item["image"].shape == item["probability"].shape == item["label"].shape == (1, 96, 96)
    torch.testing.assert_close(item["probability"], item["label"] * 180 / 255)


def test_a_missing_picture_is_named(entries: list[dict[str, Any]], tmp_path: Path):
    entries[0]["image"] = str(tmp_path / "none.png")
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        WholeMaps(entries)[0]
