"""Autocast that a device computes fast."""

from __future__ import annotations

import torch


def autocast(device: torch.device, mixed_precision: bool) -> torch.autocast:
    """Return the context of mixed precision: bfloat16 autocast where the device has instructions for it.

    A CPU without them (x86 without AVX-512) converts each number to float32 and back, and takes up to hundreds of times
    as long as in float32. There the context does nothing.

    Args:
        device: that the network runs on.
        mixed_precision: False for float32 on every device.

    Example:
        >>> with autocast(torch.device("cpu"), mixed_precision=False):
        ...     print(torch.is_autocast_enabled("cpu"))
        False
    """
    enabled = mixed_precision and (device.type != "cpu" or cpu_computes_bfloat16())
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def cpu_computes_bfloat16() -> bool:
    """Return whether oneDNN, by which PyTorch multiplies and convolves on a CPU, computes in bfloat16 on this one."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
