"""Stop training early, with a patience that survives a resumed run."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.handlers import EarlyStopHandler


class ResumableEarlyStop(EarlyStopHandler):
    """Stop training when the score has not improved for ``patience`` validations.

    MONAI's handler saves neither its best score nor its counter; this subclass has both in its ``state_dict``. A run
    whose patience had ended trains no further when started again.

    Example:
        >>> from monai.handlers import stopping_fn_from_metric
        >>> stop = ResumableEarlyStop(patience=5, score_function=stopping_fn_from_metric("val_dice"))
    """

    _handler: EarlyStopping  # type: ignore[assignment]  # None until the handler gets its trainer

    def set_trainer(self, trainer: Engine) -> None:
        super().set_trainer(trainer)
        trainer.add_event_handler(Events.STARTED, self.stop_if_exhausted)

    def stop_if_exhausted(self, trainer: Engine) -> None:
        """Stop a run whose patience was at its end when its state was saved."""
        if self._handler.counter >= self.patience:
            trainer.terminate()

    def state_dict(self) -> dict[str, Any]:
        return {"counter": self._handler.counter, "best_score": self._handler.best_score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._handler.counter = state["counter"]
        self._handler.best_score = state["best_score"]
