"""Choose the device that networks run on."""

from __future__ import annotations

import torch


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """Return a device by name; by default CUDA if there is one, else the CPU.

    Raises:
        ValueError: no such device, or none of this kind on this machine.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device: expected cpu, cuda, cuda:1, ... or mps, found {name!r}") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 0):
        there = ", ".join(f"{number} of {kind}" for kind, number in count.items() if number)
        raise ValueError(f"device: expected one that this machine has ({there}), found {name!r}")
    return device
