"""The part of a network that trains, as a checkpoint wants it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TrainableState:
    """Give only the parameters with gradients as ``state_dict``, so that checkpoints leave the base out.

    Raises:
        ValueError: from ``load_state_dict``, if names or shapes differ from those of the trained parameters.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
        >>> list(TrainableState(network).state_dict())
        ['1.weight', '1.bias']
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def state_dict(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._parameters().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        own = self._parameters()
        wrong = sorted(own.keys() ^ state.keys())
        wrong += [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
        if wrong:
            raise ValueError(
                "the checkpoint does not fit what trains (another strategy, rank or width?): "
                f"{len(wrong)} parameters differ, for example {wrong[:3]}"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])
