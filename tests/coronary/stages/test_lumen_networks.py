"""Refiner and diameter network on disk: what is written is what is read, and damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from monai_lora_sam.adapters import verify_folder
from monai_lora_sam.coronary.networks import DiameterNetwork, LumenRefiner
from monai_lora_sam.coronary.stages import (
    SHIPPED,
    SHIPPED_DIAMETER_NETWORK,
    SHIPPED_REFINER,
    load_diameter_network,
    load_lumen_refiner,
    save_lumen_network,
)

SMALL = (4, 4, 4, 4, 4, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_lumen_network(LumenRefiner(SMALL), tmp_path / "lumen", metrics={"dice": 0.9}, source="a test")


def test_what_is_written_is_read(tmp_path: Path):
    network = LumenRefiner(SMALL).eval()
    again = load_lumen_refiner(save_lumen_network(network, tmp_path / "lumen"))
    image, probability = torch.rand(2, 1, 1, 40, 40)
    torch.testing.assert_close(again(image, probability), network(image, probability), rtol=0, atol=0)
    assert not again.training and not any(p.requires_grad for p in again.parameters())


def test_a_diameter_network_that_is_written_is_read(tmp_path: Path):
    network = DiameterNetwork((4, 4, 4), 4).eval()
    again = load_diameter_network(save_lumen_network(network, tmp_path / "diameters"))
    vessel = torch.rand(1, 3, 40, 33)
    torch.testing.assert_close(again(vessel), network(vessel), rtol=0, atol=0)
    assert again.card["task"] == "gauge" and not again.training


def test_the_card_says_what_it_is(folder: Path):
    card = load_lumen_refiner(folder).card
    assert card == verify_folder(folder) == json.loads((folder / "card.json").read_text())
    assert (card["task"], card["metrics"], card["source"]) == ("lumen", {"dice": 0.9}, "a test")


def test_the_shipped_ones_load_and_are_small():
    network = load_lumen_refiner()
    assert sum(p.numel() for p in network.parameters()) < 0.6e6
    assert sum(path.stat().st_size for path in SHIPPED_REFINER.iterdir()) < 2.2e6
    assert sum(p.numel() for p in load_diameter_network().parameters()) < 0.2e6
    assert sum(path.stat().st_size for path in SHIPPED_DIAMETER_NETWORK.iterdir()) < 0.6e6


def test_a_truncated_file_is_refused(folder: Path):
    path = folder / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(
        ValueError, match=r"network\.safetensors: expected SHA-256 .* truncated or was changed"
    ):
        load_lumen_refiner(folder)


def test_another_kind_of_stage_is_refused():
    with pytest.raises(ValueError, match="expected a network of task 'lumen', found task 'vessels'"):
        load_lumen_refiner(SHIPPED / "vessels")
    with pytest.raises(ValueError, match="expected a network of task 'gauge', found task 'lumen'"):
        load_diameter_network(SHIPPED_REFINER)


def test_weights_of_another_shape_are_refused(tmp_path: Path):
    network = LumenRefiner(SMALL)
    network.features = (8, 8, 8, 8, 8, 8)
    with pytest.raises(ValueError, match=r"lumen: expected weights of .*8, 8.*, found others"):
        load_lumen_refiner(save_lumen_network(network, tmp_path / "lumen"))


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="none"):
        load_lumen_refiner(tmp_path / "none")


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path):
    network = LumenRefiner(SMALL)
    network.network.final_conv.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="expected finite numbers"):
        save_lumen_network(network, tmp_path / "lumen")
    assert not (tmp_path / "lumen").exists()
