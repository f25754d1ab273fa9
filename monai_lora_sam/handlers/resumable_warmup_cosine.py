"""Learning rate schedule whose length a resumed run may change."""

from __future__ import annotations

from typing import Any

from monai.optimizers import WarmupCosineSchedule

OF_THE_RUN = ("warmup_steps", "warmup_multiplier", "t_total", "end_lr", "cycles")


class ResumableWarmupCosine(WarmupCosineSchedule):
    """Warm up linearly, then decay as a cosine.

    MONAI's schedule restores its length from a checkpoint: the rate of a run resumed with more epochs would reach its
    end early and climb again. This subclass restores the number of steps done alone.

    Example:
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> schedule = ResumableWarmupCosine(optimizer, warmup_steps=10, t_total=100)
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = {name: getattr(self, name) for name in OF_THE_RUN}
        super().load_state_dict({**state_dict, **own})
