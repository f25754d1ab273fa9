"""Learning rate schedule whose length a resumed run may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.optimizers import WarmupCosineSchedule

OF_THE_RUN = ("warmup_steps", "warmup_multiplier", "t_total", "end_lr", "cycles", "share")


class ResumableWarmupCosine(WarmupCosineSchedule):
    """Warm up linearly, then decay as a cosine.

    MONAI's schedule restores its length from a checkpoint: the rate of a run resumed with more epochs would reach its
    end early and climb again. This subclass restores the number of steps done alone.

    Args:
        optimizer, arguments: see MONAI's class.
        share: returns the share of the run that is over, such as that of a :class:`TimeBudget`; None: the steps done
            among `t_total`.

    Example:
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> schedule = ResumableWarmupCosine(optimizer, warmup_steps=10, t_total=100)
    """

    def __init__(self, optimizer: Any, share: Callable[[], float] | None = None, **arguments: Any) -> None:
        self.share = share
        super().__init__(optimizer, **arguments)

    def lr_lambda(self, step: float) -> float:
        return super().lr_lambda(step if self.share is None else self.share() * self.t_total)

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().state_dict().items() if key != "share"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = {name: getattr(self, name) for name in OF_THE_RUN}
        super().load_state_dict({**state_dict, **own})
