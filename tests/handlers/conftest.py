"""A training run like the bundle's, on a toy network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.data import CacheDataset, DataLoader, Dataset, DistributedSampler
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler, stopping_fn_from_metric
from monai.optimizers import WarmupCosineSchedule
from monai.transforms import Compose, RandGaussianNoised, RandSpatialCropd
from torch import nn

from monai_lora_sam.handlers import EpochLog, EpochSeed, ResumableEarlyStop, TrainingState


class Killed(Exception):
    """Stands for the kill of a process."""


def _items(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(9)
    images = torch.randn(count, 1, 6, 6, generator=generator)
    return [{"image": image, "label": image.mean().view(1)} for image in images]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Wire network, engines and handlers as the bundle does; ``kill_in`` is the epoch that is cut in half."""

    def make(
        name: str = "run",
        epochs: int = 4,
        scores: list[float] | None = None,
        patience: int = 100,
        batch_size: int = 2,
        width: int = 4,
        kill_in: int | None = None,
    ) -> SimpleNamespace:
        folder = tmp_path / name
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.Dropout(0.3), nn.Linear(width, 1))
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
        random = Compose(
            [RandSpatialCropd("image", (4, 4), random_size=False), RandGaussianNoised("image", 0.9)]
        )
        data = CacheDataset(_items(8), random, progress=False)
        sampler = DistributedSampler(data, num_replicas=1, rank=0, shuffle=True, seed=0)
        loader = DataLoader(data, sampler=sampler, batch_size=batch_size)
        schedule = WarmupCosineSchedule(optimizer, 2, 4 * len(loader), warmup_multiplier=0.01)
        evaluator = SupervisedEvaluator(
            "cpu", DataLoader(Dataset([{"image": torch.ones(1, 4, 4), "label": torch.ones(1)}])), network
        )
        score = iter(scores or [0.1 * n for n in range(1, 100)])
        evaluator.add_event_handler(
            Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(score=next(score))
        )
        stop = ResumableEarlyStop(patience, stopping_fn_from_metric("score"))
        stop.attach(evaluator)
        trainer = SupervisedTrainer(
            "cpu",
            epochs,
            loader,
            network,
            optimizer,
            nn.MSELoss(),
            train_handlers=[
                EpochSeed(0, data),
                LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
                ValidationHandler(1, evaluator),
                EpochLog(folder / "history.jsonl", evaluator, show=False),
                TrainingState(
                    folder / "state.pt",
                    {"network": network, "optimizer": optimizer, "schedule": schedule, "stop": stop},
                ),
            ],
            decollate=False,
        )
        if kill_in is not None:
            step = (kill_in - 1) * len(loader) + len(loader) // 2

            @trainer.on(Events.ITERATION_COMPLETED(once=step))
            def kill(engine) -> None:
                raise Killed

        stop.set_trainer(trainer)
        return SimpleNamespace(network=network, trainer=trainer, folder=folder, schedule=schedule)

    return make
