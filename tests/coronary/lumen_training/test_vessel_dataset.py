"""Crops of straightened vessels: values and truth move together, and equal seeds give equal crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.coronary.lumen_training import MeasuredVessel, VesselCrops, WholeVessels, vessel_dataset


def test_a_crop_moves_values_and_truth_together(
    vessels: list[MeasuredVessel], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(vessel_dataset, "CLOSED_SHARE", 0.0)
    monkeypatch.setattr(vessel_dataset, "BREATHING_SHARE", 0.0)
    crops = VesselCrops(vessels, 8)
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


def test_equal_seeds_give_equal_crops_in_any_order(vessels: list[MeasuredVessel]):
    crops, again = VesselCrops(vessels, 4), VesselCrops(vessels, 4)
    crops.set_random_state(3)
    again.set_random_state(3)
    first = [crops[index] for index in range(4)]
    for index in (2, 0, 3, 1):
        assert torch.equal(again[index]["image"], first[index]["image"])
    again.set_random_state(4)
    assert len(crops) == 4 and not torch.equal(again[0]["image"], first[0]["image"])


def test_a_map_that_breathes_keeps_its_middle():
    columns = np.arange(33) - 16
    chance = np.tile(np.clip(6 - np.abs(columns), 0, 1).astype(np.float32), (160, 1))
    breathed = vessel_dataset.breathe(chance, np.random.default_rng(0))
    widths = breathed.sum(axis=1) / chance.sum(axis=1)
    assert breathed.shape == chance.shape and widths.std() > 0.1 and 0.3 < widths.min() < widths.max() < 3
    assert np.abs(np.diff(widths)).max() < 0.2  # slowly
    assert (breathed * columns).sum(axis=1) == pytest.approx(np.zeros(160), abs=1e-3)


def test_a_closed_stretch_looks_like_its_background(vessels: list[MeasuredVessel]):
    grey, chance = vessels[0].values()[:2, :160].copy()
    rows = [np.ones(160) for _ in range(3)]
    vessel_dataset.close(grey, chance, *rows, np.random.default_rng(0))
    closed = rows[0] == 0
    assert 6 <= closed.sum() < 40 and not grey[closed].any() and not chance[closed].any()
    assert (grey[~closed].min(axis=1) == -1).all()


def test_stenoses_weigh_more():
    depth = np.zeros(100)
    depth[40:50] = 0.6
    weights = vessel_dataset.row_weights(depth)
    assert (weights[0], weights[33]) == (1, 3)
    assert weights[45] == pytest.approx(3 + 0.6 * vessel_dataset.LESION_WEIGHT)


def test_whole_vessels_have_diameters_in_widths(vessels: list[MeasuredVessel]):
    whole = WholeVessels(vessels)
    item = whole[1]
    assert len(whole) == 3 and item["image"].shape == (3, 300, 33)
    assert item["label"][0, 0] == 1 and item["label"][0, 30] == 0.5 and item["label"][1, 30] == 0.5
    assert whole[0]["label"][0, 230].isnan()


def test_vessels_without_any_known_diameter_are_refused(vessels: list[MeasuredVessel]):
    vessels[0].diameter_px[:] = np.nan
    with pytest.raises(ValueError, match="expected vessels with known diameters, found none in 1"):
        VesselCrops(vessels[:1], 8)
