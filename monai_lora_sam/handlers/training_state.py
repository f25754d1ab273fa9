"""Save and restore the state of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

from monai_lora_sam.files import atomic_file


class TrainingState:
    """Write the state at the end of each epoch, and read it back when a run starts.

    MONAI's ``CheckpointSaver`` writes into the final file, which a kill leaves half written; this handler writes a
    temporary file and renames it. Give a network's ``trainable`` view rather than the network, whose file would hold
    the base too.

    Args:
        path: the file.
        objects: objects with ``state_dict`` and ``load_state_dict`` by name. `attach` adds the trainer.
        resume: read an existing ``path`` when the engine starts.

    Raises:
        ValueError: on resuming, the file is unreadable, or belongs to a run with other objects, other parameters or
            another number of steps an epoch. The message says what was expected and found.

    Example:
        >>> TrainingState("run/last.pt", {"network": network.trainable}).attach(trainer)
        ... # doctest: +SKIP
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], resume: bool = True) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        self.objects["trainer"] = engine
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        if idist.get_rank() > 0:
            return
        with atomic_file(self.path) as temporary:
            torch.save({name: thing.state_dict() for name, thing in self.objects.items()}, temporary)

    def load(self, engine: Engine) -> None:
        if not self.path.is_file():
            return
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{self.path}: expected a training state of this run, found: {error}") from error
        if not isinstance(state, dict) or state.keys() != self.objects.keys():
            found = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(f"{self.path}: expected the states of {sorted(self.objects)}, found {found}")
        epochs, steps = engine.state.max_epochs, engine.state.epoch_length
        found = state["trainer"]["epoch_length"]
        finished = epochs is not None and state["trainer"]["iteration"] >= epochs * found
        if found != steps and not finished:
            raise ValueError(
                f"{self.path}: expected a state of {steps} steps an epoch, found {found} (other images or another "
                "batch size?)"
            )
        try:
            Checkpoint.load_objects(to_load=self.objects, checkpoint=state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f"{self.path}: {error}") from error
        # The number of epochs is the user's to raise between two runs; the rest is the state's.
        engine.state.max_epochs = epochs
        if epochs is not None and engine.state.epoch >= epochs:
            engine.terminate()  # nothing is left to train; ignite would start again from the first epoch
        engine.logger.info(f"resumed {self.path} after epoch {engine.state.epoch}")
