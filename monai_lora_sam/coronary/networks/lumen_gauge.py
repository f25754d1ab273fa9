"""A small network that reads the lumen's diameter along a vessel laid out straight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import Convolution
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from torch.nn import functional

FEATURES = (24, 32, 48)
ALONG = 64
DILATIONS = (1, 2, 4, 8, 16)


class LumenGauge(nn.Module):
    """Read diameter and midline of a lumen from a vessel laid out straight.

    Convolutions over the strip, halved across at each level, then over the vessel's length alone, with growing
    dilation: a narrowing is told from noise by what the vessel is like on either side. Lengths are in units of
    the vessel's usual width, so that thin and wide vessels look alike.

    Args:
        features: channels of each level.
        along: channels of the convolutions along the vessel.
        mixed_precision: run in bfloat16 autocast, on CPU as on CUDA. The results are float32 either way.

    Shapes:
        strip: (B, 3, L, T), as :func:`monai_lora_sam.coronary.pipeline.straighten` lays it out.
        Returns (B, 2, L): diameter, 0 or more, and how far beside the strip's middle that of the lumen lies, both in
        widths.

    Raises:
        ValueError: if the strip has another shape; expected and found are named.

    Example:
        >>> gauge = LumenGauge(features=(8, 8, 8), along=8).eval()
        >>> gauge(torch.rand(1, 3, 50, 33)).shape
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
        #: Columns of a strip, and what is left of them.
        self.columns = 33
        left = self.columns
        for _ in self.features:
            left = -(-left // 2)
        self.gather = Convolution(1, channels * left, along, kernel_size=1, norm="batch", act="leakyrelu")
        self.blocks = nn.ModuleList(_convolution(1, along, along, dilation) for dilation in DILATIONS)
        self.head = nn.Conv1d(along, 2, 1)
        #: What is known of it where it was loaded from a folder.
        self.card: dict[str, Any] = {}

    @property
    def config(self) -> dict[str, Any]:
        """What :class:`LumenGauge` is built again from, as JSON holds it."""
        return {"features": list(self.features), "along": self.along}

    def forward(self, strip: Tensor) -> Tensor:
        if strip.ndim != 4 or strip.shape[1] != 3 or strip.shape[3] != self.columns:
            raise ValueError(f"strip: expected (B, 3, L, {self.columns}), found {tuple(strip.shape)}")
        strip = convert_to_tensor(strip, track_meta=False).contiguous(memory_format=torch.channels_last)
        with torch.autocast(strip.device.type, torch.bfloat16, enabled=self.mixed_precision):
            read = self.levels(strip)
            read = self.gather(read.permute(0, 1, 3, 2).flatten(1, 2))
            for block in self.blocks:
                read = read + block(read)
        read = self.head(read.float())
        return torch.stack([functional.softplus(read[:, 0]), read[:, 1]], dim=1)


def _convolution(dimensions: int, channels: int, count: int, dilation: int = 1) -> Convolution:
    return Convolution(
        dimensions, channels, count, kernel_size=3, dilation=dilation, norm="batch", act="leakyrelu"
    )
