"""A network that carries the moving average of another one's trained parameters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def averaged_network(
    network: Network, parameters: Sequence[nn.Parameter], averages: Sequence[Tensor]
) -> Network:
    """Return a copy of a network in which averages stand in the place of some parameters.

    Everything else, the frozen base above all, is shared with the network, so that the copy takes no memory of its own.
    It follows the averages as they move.

    Args:
        network: in training.
        parameters: of the network.
        averages: a tensor for each parameter, such as those of ignite's ``EMAHandler(...).ema_model``.

    Raises:
        ValueError: if the averages do not fit the parameters.

    Example:
        >>> trained = nn.ParameterList(p for p in network.parameters() if p.requires_grad)  # doctest: +SKIP
        >>> average = EMAHandler(trained, momentum=0.001)  # doctest: +SKIP
        >>> averaged = averaged_network(network, trained, average.ema_model)  # doctest: +SKIP
    """
    parameters, averages = list(parameters), list(averages)
    expected, found = ([tuple(tensor.shape) for tensor in tensors] for tensors in (parameters, averages))
    if expected != found:
        raise ValueError(f"averages: expected tensors of the shapes {expected}, found {found}")
    shared: dict[int, Tensor] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    replaced = {id(old): new for old, new in zip(parameters, averages, strict=True)}
    if replaced.keys() - shared.keys():
        raise ValueError("parameters: expected those of the network, found others")
    return copy.deepcopy(network, memo={**shared, **replaced}).eval()
