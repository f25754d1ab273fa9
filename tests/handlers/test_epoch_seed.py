"""Random draws of an epoch depend on the seed and its number alone."""

from __future__ import annotations

import random

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandGaussianNoised, RandSpatialCropd

from monai_lora_sam.handlers import EpochSeed


def draw(epochs: int, seed: int = 0, skip: int = 0) -> list[tuple[torch.Tensor, float, float, torch.Tensor]]:
    """Return of each epoch its augmented images, a number of either global generator and a dropout mask."""
    random_part = Compose(
        [RandSpatialCropd("image", (5, 5), random_size=False), RandGaussianNoised("image", 0.9)]
    )
    items = [{"image": torch.arange(64.0).view(1, 8, 8)} for _ in range(2)]
    data = CacheDataset(items, random_part, progress=False)
    dropout, drawn = torch.nn.Dropout(0.5), []

    def step(engine: Engine, batch: dict) -> None:
        mask = dropout(torch.ones(32))
        drawn.append((batch["image"].as_tensor().clone(), random.random(), np.random.rand(), mask))  # noqa: NPY002

    engine = Engine(step)
    engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", skip))
    EpochSeed(seed, data).attach(engine)
    engine.run(DataLoader(data, batch_size=2), max_epochs=epochs)
    return drawn


def equal(first: tuple, second: tuple) -> list[bool]:
    pairs = zip(first, second, strict=True)
    return [torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs]


def test_an_epoch_draws_the_same_whatever_came_before():
    torch.manual_seed(1)
    straight = draw(3)
    torch.manual_seed(2)  # another process has drawn other numbers before
    later = draw(3, skip=2)
    assert len(later) == 1 and all(equal(later[0], straight[2]))


def test_epochs_seeds_and_neighbouring_runs_differ():
    first, other = draw(3), draw(3, seed=1)
    all_draws = [*first, *other]
    for i, one in enumerate(all_draws):
        for another in all_draws[:i]:
            assert not any(equal(one, another))


def test_dataset_without_random_transforms():
    engine = Engine(lambda *_: None)
    EpochSeed(0, CacheDataset([{"image": 1}], lambda item: item, progress=False)).attach(engine)
    engine.run([0], max_epochs=1)
