"""Training of the lumen refiner, in miniature: it writes what loads, and a broken run ends like an unbroken one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.coronary.stages import load_lumen_refiner, lumen_training

pytestmark = pytest.mark.usefixtures("one_thread")
ARGUMENTS = {"steps": 4, "batch_size": 2, "learning_rate": 0.002, "seed": 0}


@pytest.fixture
def module(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = script("train_lumen")
    monkeypatch.setattr(found, "WINDOW", 64)
    monkeypatch.setattr(found, "CROP", 32)
    refiner = found.LumenRefiner
    monkeypatch.setattr(found, "LumenRefiner", lambda: refiner((4, 4, 4, 4, 4, 4), mixed_precision=False))
    return found


@pytest.fixture
def crops(module: ModuleType, tmp_path: Path):
    """Three pictures of a vessel, narrowed in the middle, with stage 1's maps blurred."""
    entries = []
    for index in range(3):
        label = np.zeros((96, 96), np.uint8)
        label[40 + index : 50 + index] = 1
        label[40 + index : 43 + index, 40:56] = 0
        case = f"drawn_{index}"
        entry = {"image": f"{case}.png", "label": f"{case}_label.png", "case_id": case}
        entries.append({**entry, "lesions": [{"box_xyxy": [40.0, 38.0, 56.0, 52.0]}]})
        Image.fromarray(200 - 120 * label).save(tmp_path / entry["image"])
        Image.fromarray(label).save(tmp_path / entry["label"])
        for stage in module.STAGES:
            path = module.map_path(tmp_path, stage, entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label * 180).save(path)
    return module.Crops(tmp_path, entries)


def test_a_crop_moves_picture_label_and_map_together(crops):
    for seed in range(8):
        crops.seed(seed)
        image, maps = crops[seed % 3]
        assert image.shape == (1, 32, 32) and maps.shape == (4, 32, 32)
        assert all(part.min() >= 0 and part.max() <= 1 for part in (image, maps))
        torch.testing.assert_close(maps[3], maps[1] * 180 / 255, atol=0.02, rtol=0)
        inside, outside = maps[1] > 0.9, maps[1] < 0.1
        if inside.any() and outside.any():
            assert image[0][inside].mean() < image[0][outside].mean()


def test_equal_seeds_give_equal_crops(crops):
    crops.seed(5)
    first = crops[1]
    crops.seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first, crops[1], strict=True))


def test_a_broken_run_ends_like_an_unbroken_one(
    module: ModuleType, crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lumen_training, "SAVE_EVERY", 2)
    whole = module.train(crops, tmp_path / "whole.pt", ARGUMENTS, lambda *_: None)

    def stop(step: int, _: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.train(crops, tmp_path / "broken.pt", ARGUMENTS, stop)
    steps = []
    again = module.train(crops, tmp_path / "broken.pt", ARGUMENTS, lambda step, _: steps.append(step))
    assert steps == [3, 4]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"expected a run with .*'seed': 1.*give another --work"):
        module.train(crops, tmp_path / "broken.pt", {**ARGUMENTS, "seed": 1}, lambda *_: None)


def test_the_loss_is_weighted_near_what_stage_1_found_and_in_lesions(module: ModuleType):
    maps = torch.zeros(1, 4, 40, 40)
    logits = torch.zeros(1, 1, 40, 40)
    logits[..., :5, :5] = 3.0  # wrong, far from everything
    far = module.loss_of(logits, maps)
    maps[:, 3, 2, 2] = 1.0
    near = module.loss_of(logits, maps)
    maps[:, 2, :5, :5] = 1.0
    assert far < near < module.loss_of(logits, maps)


def test_a_small_run_writes_a_refiner_with_its_card(module: ModuleType, tmp_path: Path, capsys):
    module.main(out=tmp_path / "lumen", work=tmp_path / "work", count=2, held_out=1, steps=1, batch_size=2)
    card = load_lumen_refiner(tmp_path / "lumen").card
    assert card["arguments"]["steps"] == 1 and card["arguments"]["phantom_seed"] == 21
    assert set(card["metrics"]) == {"vessels", "vessels_phantom"}
    assert 0.5 < card["metrics"]["vessels_phantom"]["dice_of_stage"] <= 1
    assert str(tmp_path / "lumen") in capsys.readouterr().out
    assert not list((tmp_path / "work").rglob("*.tmp"))
    json.dumps(card, allow_nan=False)
