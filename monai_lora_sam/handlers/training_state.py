"""Save and restore the state of a training run."""

from __future__ import annotations

import sys
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
        settings: of the run, stored with the state: those that a resumed run has to share under ``fixed``, others
            under ``free``.

    Raises:
        ValueError: on resuming, the file is unreadable, or belongs to a run with other objects, other parameters or
            another number of steps an epoch, or to other settings. The message says what was expected and found.

    Example:
        >>> TrainingState("run/last.pt", {"network": network.trainable}).attach(trainer)
        ... # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        objects: Mapping[str, Any],
        resume: bool = True,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.resume = resume
        self.settings = {kind: dict(values) for kind, values in (settings or {}).items()}

    def attach(self, engine: Engine) -> None:
        self.objects["trainer"] = engine
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        if idist.get_rank() > 0:
            return
        with atomic_file(self.path) as temporary:
            state = {name: thing.state_dict() for name, thing in self.objects.items()}
            torch.save({**state, _SETTINGS: self.settings}, temporary)

    def load(self, engine: Engine) -> None:
        if not self.path.is_file():
            return
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(
                f"{self.path}: expected a training state of this run, found: {_line(error)}{_ADVICE}"
            ) from error
        settings = state.pop(_SETTINGS, {}) if isinstance(state, dict) else {}
        if not isinstance(state, dict) or state.keys() != self.objects.keys():
            found = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                f"{self.path}: expected the states of {sorted(self.objects)}, found {found}{_ADVICE}"
            )
        self._compare(settings)
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
            raise ValueError(
                f"{self.path}: expected a state of this network, found {_line(error)}{_ADVICE}"
            ) from error
        # The number of epochs is the user's to raise between two runs; the rest is the state's.
        engine.state.max_epochs = epochs
        if epochs is not None and engine.state.epoch >= epochs:
            engine.terminate()  # nothing is left to train; ignite would start again from the first epoch
            self._say(
                f"finished after epoch {engine.state.epoch}; raise epochs to go on, or set resume to False"
            )
        else:
            self._say(f"goes on after epoch {engine.state.epoch}")

    def _compare(self, old: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuse changed settings, and tell of those that may change; a state of an older version has none."""
        if not self.settings or not old:
            return
        changed = _changes(old["fixed"], self.settings["fixed"])
        if changed:
            raise ValueError(
                f"{self.path}: expected the settings of the run so far, found {changed}{_ADVICE}"
            )
        changed = _changes(old["free"], self.settings["free"])
        if changed:
            self._say(f"takes changed settings: {changed}")

    def _say(self, text: str) -> None:
        if idist.get_rank() == 0:
            print(f"{self.path}: {text}", file=sys.stderr)


_SETTINGS = "settings"
_ADVICE = " (delete the file or set resume to False to start anew, or give another output_dir)"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)} → {new.get(key)}" for key in keys)


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200] if lines else type(error).__name__
