"""Seed every random source anew at the start of each epoch."""

from __future__ import annotations

import random

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd

#: Distance of the seeds of neighbouring runs (0, 1, 2 …); they do not meet in later epochs.
_STRIDE = 100_003


class EpochSeed:
    """Seed all random generators from the run's seed and the epoch's number.

    A run resumed at epoch n draws the same order, augmentation and dropout as a run that was never interrupted, and
    no generator's state is stored.

    Args:
        seed: seed of the run. The rank of a distributed run is added, so that ranks augment differently.
        dataset: data set whose random transforms are seeded; None leaves them to the workers of the data loader.

    Example:
        >>> EpochSeed(0).attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, seed: int, dataset: object | None = None) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        seed = (self.seed * _STRIDE + engine.state.epoch * 101 + idist.get_rank()) % 2**31
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - MONAI and scikit-image transforms read the global state
        torch.manual_seed(seed)
        if self.dataset is not None:
            set_rnd(self.dataset, seed)
