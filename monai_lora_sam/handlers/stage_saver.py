"""Save the last and the best stage of a training run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from monai_lora_sam.networks import StageNetwork
from monai_lora_sam.stages import save_stage


class StageSaver:
    """Save adapter, head and card (never the base) into ``folder/last`` and ``folder/best``.

    Attach it to the evaluator. "Best" is the highest ``metric``; the card records all of the evaluator's
    metrics and the epoch.

    Args:
        network: the network in training.
        folder: parent of ``last`` and ``best``.
        metric: name of the evaluator's metric to compare by.
        card: further entries of the card, see :func:`monai_lora_sam.stages.save_stage`.
        save: writes the network; :func:`monai_lora_sam.stages.save_network` for a network without an encoder.

    Example:
        >>> StageSaver(network, "models/liver", "val_dice", {"task": "liver"}).attach(evaluator)
        ... # doctest: +SKIP
    """

    def __init__(
        self,
        network: StageNetwork | torch.nn.Module,
        folder: str | Path,
        metric: str,
        card: dict[str, Any] | None = None,
        save: Callable[..., Path] = save_stage,
    ) -> None:
        self.network = network
        self.folder = Path(folder)
        self.metric = metric
        self.card = dict(card or {})
        self.save = save
        self.best: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        value = float(engine.state.metrics[self.metric])
        # No number is above NaN, the Dice of images without foreground: NaN must not stay the best for ever.
        better = self.best is None or math.isnan(self.best) or value > self.best
        if better:
            self.best = value
        if idist.get_rank() > 0:
            return
        wrapped = isinstance(self.network, torch.nn.parallel.DistributedDataParallel)
        network: Any = self.network.module if wrapped else self.network
        scores = {name: float(v) for name, v in engine.state.metrics.items()}
        metrics = {name: v if math.isfinite(v) else None for name, v in scores.items()}  # JSON has no NaN
        card = {**self.card, "metrics": metrics, "epoch": engine.state.epoch}
        for name in ("last", "best") if better else ("last",):
            self.save(network, self.folder / name, **card)
