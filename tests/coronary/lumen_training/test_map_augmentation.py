"""Augmentation of pictures and maps: equal changes of both, of the size asked for."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.lumen_training import map_augmentation


def test_picture_and_maps_get_the_same_geometry():
    augment = map_augmentation(48, 24)
    gradient = torch.linspace(0.1, 0.9, 64).expand(1, 64, 64).contiguous()
    for seed in range(6):
        augment.set_random_state(seed)
        item = augment({"image": gradient, "maps": gradient, "middle": torch.ones(1, 64, 64)})[0]
        assert item["image"].shape == item["maps"].shape == (1, 24, 24)
        pair = torch.stack([item["image"].as_tensor().flatten(), item["maps"].as_tensor().flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.7  # grey values change, places do not


def test_a_picture_without_weights_is_refused():
    with pytest.raises((KeyError, RuntimeError)):
        map_augmentation(48, 24)({"image": torch.ones(1, 64, 64), "maps": torch.ones(1, 64, 64)})
