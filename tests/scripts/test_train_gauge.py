"""Training of the lumen gauge, in miniature: true widths beside strips, and a broken run ends like an unbroken one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from monai_lora_sam.coronary.stages import load_lumen_gauge, lumen_training

pytestmark = pytest.mark.usefixtures("one_thread")
ARGUMENTS = {"steps": 4, "batch_size": 2, "learning_rate": 0.002, "seed": 0}


@pytest.fixture
def module(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = script("train_gauge")
    gauge = found.LumenGauge
    monkeypatch.setattr(found, "LumenGauge", lambda: gauge((4, 4, 4), 4, mixed_precision=False))
    return found


@pytest.fixture
def strips(module: ModuleType) -> list:
    """Three straight vessels of 8 samples, two of them narrowed to half, 1 px beside the middle of the strip."""
    columns = np.arange(33) - 16
    found = []
    for number, count in enumerate((400, 300, 60)):
        relative = np.ones(count, np.float32)
        if number:
            relative[20:50] = 0.5
        inside = np.abs(columns - 1) <= 4 * relative[:, None]
        found.append(
            module.TrueStrip(
                (-1.0 * inside).astype(np.float16),
                (255 * inside).astype(np.uint8),
                np.float32(8.0),
                8 * relative,
                np.ones(count, np.float32),
                relative,
            )
        )
    found[0].diameter_px[200:260] = np.nan
    return found


def test_a_crop_moves_picture_and_truth_together(module: ModuleType, strips: list, monkeypatch):
    monkeypatch.setattr(module, "CLOSED_SHARE", 0.0)
    monkeypatch.setattr(module, "BREATHING_SHARE", 0.0)
    crops = module.Crops(strips)
    columns = np.arange(33) - 16
    for seed in range(30):
        values, (diameter, offset, weight) = crops.draw(np.random.default_rng(seed))
        assert values.shape == (3, 160, 33) and values.dtype == np.float32
        assert values[2] == pytest.approx(np.full((160, 33), np.log(8)))
        known = (weight > 0) & (values[1].max(axis=1) == 1)  # a hole in the map says nothing of the place
        assert weight[known].min() >= 1 and not diameter[weight == 0].any()
        middle = (values[1] * columns).sum(axis=1) / values[1].sum(axis=1).clip(1e-6)
        assert middle[known] / 8 == pytest.approx(offset[known], abs=1e-5)
        assert values[1].sum(axis=1)[known] / 8 == pytest.approx(diameter[known], abs=0.2)


def test_a_map_that_breathes_keeps_its_middle_alone(module: ModuleType):
    columns = np.arange(33) - 16
    chance = np.tile(np.clip(6 - np.abs(columns), 0, 1).astype(np.float32), (160, 1))
    breathed = module.Crops.breathe(chance, np.random.default_rng(0))
    widths = breathed.sum(axis=1) / chance.sum(axis=1)
    assert breathed.shape == chance.shape and widths.std() > 0.1 and 0.3 < widths.min() < widths.max() < 3
    assert np.abs(np.diff(widths)).max() < 0.2  # slowly
    assert (breathed * columns).sum(axis=1) == pytest.approx(np.zeros(160), abs=1e-3)


def test_stenoses_count_for_more(module: ModuleType):
    depth = np.zeros(100)
    depth[40:50] = 0.6
    weights = module.weights(depth)
    assert (
        weights[0] == 1 and weights[33] == 3 and weights[45] == pytest.approx(3 + 0.6 * module.LESION_WEIGHT)
    )


def test_a_closed_stretch_looks_like_its_background(module: ModuleType, strips: list):
    strip = strips[0]
    grey, chance = strip.grey.astype(np.float32)[:160], strip.probability.astype(np.float32)[:160] / 255
    rows = [np.ones(160) for _ in range(3)]
    module.Crops.close(grey, chance, *rows, np.random.default_rng(0))
    closed = rows[0] == 0
    assert 6 <= closed.sum() < 40 and not grey[closed].any() and not chance[closed].any()
    assert (grey[~closed].min(axis=1) == -1).all()


def test_the_truth_near_a_line_is_that_of_the_centreline(module: ModuleType):
    line = {
        "points_xy_px": [[float(x), 50.0] for x in range(10, 90)],
        "diameter_px": np.linspace(8, 4, 80).tolist(),
        "diameter_mm": np.linspace(2.4, 1.2, 80).tolist(),
        "reference_diameter_mm": np.full(80, 2.4).tolist(),
    }
    truth = module.Truth({"centrelines": [line]})
    at = np.array([[51.0, 10.0], [51.0, 49.5], [56.0, 49.5], [50.0, 95.0]])
    diameter, offset, relative = truth.along(at, np.tile([[1.0, 0.0]], (4, 1)))
    assert diameter[:2] == pytest.approx([8, 6], abs=0.05) and offset[:2] == pytest.approx([-1, -1])
    assert relative[:2] == pytest.approx([1, 0.75], abs=0.01)
    assert np.isnan(diameter[2:]).all()  # too far beside it, and behind its end
    across = truth.along(at[1:2], np.array([[0.0, 1.0]]))[0]
    assert np.isnan(across).all()  # a line that crosses


def test_a_broken_run_ends_like_an_unbroken_one(
    module: ModuleType, strips: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lumen_training, "SAVE_EVERY", 2)
    whole = module.train(strips, tmp_path / "whole.pt", ARGUMENTS, lambda *_: None)

    def stop(step: int, _: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.train(strips, tmp_path / "broken.pt", ARGUMENTS, stop)
    steps = []
    again = module.train(strips, tmp_path / "broken.pt", ARGUMENTS, lambda step, _: steps.append(step))
    assert steps == [3, 4]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"expected a run with .*'seed': 1.*give another --work"):
        module.train(strips, tmp_path / "broken.pt", {**ARGUMENTS, "seed": 1}, lambda *_: None)


def test_a_small_run_writes_a_gauge_with_its_card(module: ModuleType, tmp_path: Path, capsys):
    work = tmp_path / "work"
    module.main(out=tmp_path / "gauge", work=work, count=2, held_out=1, steps=1, batch_size=2)
    card = load_lumen_gauge(tmp_path / "gauge").card
    assert card["task"] == "gauge" and card["arguments"]["steps"] == 1
    assert set(card["metrics"]) == {"error", "error_in_stenoses"}
    assert str(tmp_path / "gauge") in capsys.readouterr().out
    assert not list(work.rglob("*.tmp"))
    json.dumps(card, allow_nan=False)
    # The truth of a vessel that stage 1 followed is about what its map says.
    folder, entry = work / "phantoms_10", {"case_id": "phantom_010000030"}
    known = module.read_strips(folder, [entry])
    ratio = np.concatenate([strip.diameter_px[strip.known] / strip.width_px for strip in known])
    assert len(known) > 2 and 0.8 < np.median(ratio) < 1.25
