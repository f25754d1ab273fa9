"""Networks without an encoder on disk: any network with a configuration is read as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from monai_lora_sam.adapters import verify_folder
from monai_lora_sam.stages import load_network, save_network


class Toy(nn.Module):
    def __init__(self, width: int = 3, mixed_precision: bool = True) -> None:
        super().__init__()
        self.width, self.mixed_precision = width, mixed_precision
        self.layer = nn.Linear(2, width)
        self.card: dict[str, Any] = {}

    @property
    def config(self) -> dict[str, Any]:
        return {"width": self.width}


def test_what_is_written_is_read(tmp_path: Path):
    network = Toy(5)
    folder = save_network(network, tmp_path / "toy", task="toys", metrics={"dice": 0.9}, source="a test")
    again = load_network(Toy, folder, task="toys", mixed_precision=False)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in network.state_dict().items())
    assert again.width == 5 and not again.mixed_precision and not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert again.card == verify_folder(folder)
    kept = ("task", "metrics", "source", "modality", "class_names")
    assert [again.card[key] for key in kept] == ["toys", {"dice": 0.9}, "a test", "", []]


def test_another_task_is_refused(tmp_path: Path):
    folder = save_network(Toy(), tmp_path / "toy", task="toys")
    with pytest.raises(ValueError, match="toy: expected a network of task 'games', found task 'toys'"):
        load_network(Toy, folder, task="games")


def test_weights_of_another_shape_are_refused(tmp_path: Path):
    network = Toy()
    network.width = 4
    with pytest.raises(ValueError, match=r"expected weights of \{'width': 4\}, found others"):
        load_network(Toy, save_network(network, tmp_path / "toy", task="toys"), task="toys")


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path):
    network = Toy()
    network.layer.bias.data[0] = float("inf")
    with pytest.raises(ValueError, match="expected finite numbers"):
        save_network(network, tmp_path / "toy", task="toys")
    assert not (tmp_path / "toy").exists()


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="none"):
        load_network(Toy, tmp_path / "none", task="toys")
