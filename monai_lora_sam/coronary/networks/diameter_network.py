"""Read the diameter of the lumen along a straightened vessel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import Convolution
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.networks import autocast

FEATURES = (24, 32, 48)
ALONG = 64
DILATIONS = (1, 2, 4, 8, 16)


class DiameterNetwork(nn.Module):
    """Read diameter and midline of the lumen from a straightened vessel.

    Two-dimensional convolutions halve the columns across the vessel at each level. One-dimensional convolutions
    with growing dilation follow along the vessel, so that the vessel on either side tells a narrowing from noise.
    Lengths are in units of the vessel's usual width, so that thin and wide vessels look alike.

    Args:
        features: channels of each level.
        along: channels of the convolutions along the vessel.
        mixed_precision: run in bfloat16 autocast where the device computes in it. The results are float32 either way.

    Shapes:
        vessel: (B, 3, L, 33), the values of a :class:`monai_lora_sam.coronary.pipeline.StraightenedVessel`.
        Returns (B, 2, L): diameter, 0 or more, and offset of the lumen's middle from the middle column, both in
        widths.

    Raises:
        ValueError: if the vessel has another shape; expected and found are named.

    Example:
        >>> network = DiameterNetwork(features=(8, 8, 8), along=8).eval()
        >>> network(torch.rand(1, 3, 50, 33)).shape
        torch.Size([1, 2, 50])
    """

    def __init__(
        self, features: Sequence[int] = FEATURES, along: int = ALONG, mixed_precision: bool = True
    ) -> None:
        super().__init__()
        self.features, self.along, self.mixed_precision = tuple(features), along, mixed_precision
        levels: list[nn.Module] = []
        channels = 3
        for count in self.features:
            levels += [_convolution(2, channels, count), _convolution(2, count, count)]
            levels += [nn.MaxPool2d((1, 2), ceil_mode=True)]
            channels = count
        self.levels = nn.Sequential(*levels)
        #: Columns of a straightened vessel.
        self.columns = 33
        left = self.columns
        for _ in self.features:
            left = -(-left // 2)
        self.gather = Convolution(1, channels * left, along, kernel_size=1, norm="batch", act="leakyrelu")
        self.blocks = nn.ModuleList(_convolution(1, along, along, dilation) for dilation in DILATIONS)
        self.head = nn.Conv1d(along, 2, 1)
        #: Card of the folder that the weights were loaded from.
        self.card: dict[str, Any] = {}

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON holds them."""
        return {"features": list(self.features), "along": self.along}

    def forward(self, vessel: Tensor) -> Tensor:
        if vessel.ndim != 4 or vessel.shape[1] != 3 or vessel.shape[3] != self.columns:
            raise ValueError(f"vessel: expected (B, 3, L, {self.columns}), found {tuple(vessel.shape)}")
        vessel = convert_to_tensor(vessel, track_meta=False).contiguous(memory_format=torch.channels_last)
        with autocast(vessel.device, self.mixed_precision):
            read = self.levels(vessel)
            read = self.gather(read.permute(0, 1, 3, 2).flatten(1, 2))
            for block in self.blocks:
                read = read + block(read)
        read = self.head(read.float())
        return torch.stack([functional.softplus(read[:, 0]), read[:, 1]], dim=1)


def _convolution(dimensions: int, channels: int, count: int, dilation: int = 1) -> Convolution:
    return Convolution(
        dimensions, channels, count, kernel_size=3, dilation=dilation, norm="batch", act="leakyrelu"
    )
