"""MONAI's early stopping, whose patience survives a resumed run."""

from __future__ import annotations

from typing import Any

from ignite.handlers import EarlyStopping
from monai.handlers import EarlyStopHandler


class ResumableEarlyStop(EarlyStopHandler):
    """Stop training when the score has not improved for ``patience`` validations.

    MONAI's handler keeps its best score and its counter out of reach of a checkpoint; this one gives them.

    Example:
        >>> from monai.handlers import stopping_fn_from_metric
        >>> stop = ResumableEarlyStop(patience=5, score_function=stopping_fn_from_metric("val_dice"))
    """

    _handler: EarlyStopping  # type: ignore[assignment]  # None until the handler gets its trainer

    def state_dict(self) -> dict[str, Any]:
        return {"counter": self._handler.counter, "best_score": self._handler.best_score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._handler.counter = state["counter"]
        self._handler.best_score = state["best_score"]
