"""Decode the encoder's pyramid as a U-Net does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets.basic_unet import TwoConv
from torch import Tensor, nn

from monai_lora_sam.networks.adapted_segmenter import AdaptedSegmenter
from monai_lora_sam.networks.heads import HeadEntry
from monai_lora_sam.networks.segmentation_head import resize_to

#: Least default width in channels.
_LEAST_WIDTH = 32


class UNetHead(nn.Module):
    """Predict one logit map a class by a U-Net's decoder on a feature pyramid (Ronneberger et al., MICCAI 2015).

    From the coarsest level up: scale to the next finer level, join it, two convolutions (MONAI's `TwoConv` with group
    normalisation). The last step joins the image itself, at its own size. With the strategy ``full`` it is a plain
    U-Net on the encoder's weights, to compare adapters with.

    Args:
        channels: channels of the pyramid's levels, finest first.
        out_channels: number of logit maps.
        width: channels at the finest level, a multiple of 8, doubled at each coarser one up to its own channels; half
            of it, at least 8, at the image's size. By default the finest level's channels, at least 32.

    Shapes:
        features: list of (B, C_i, H_i, W_i), finest first; image: (B, 3, H, W). Returns (B, out_channels, H, W).

    Raises:
        ValueError: a width that is no multiple of 8, another number of levels, or a condition besides the image.

    Example:
        >>> head = UNetHead(channels=(16, 24), out_channels=1)
        >>> head([torch.rand(1, 16, 16, 16), torch.rand(1, 24, 8, 8)], torch.rand(1, 3, 32, 32)).shape
        torch.Size([1, 1, 32, 32])
    """

    head_type = "unet"

    def __init__(self, channels: Sequence[int], out_channels: int, width: int | None = None) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.width = width or max(_LEAST_WIDTH, -(-self.channels[0] // 8) * 8)
        self.out_channels = out_channels
        if self.width % 8:
            raise ValueError(f"width: expected a multiple of 8, found {self.width}")
        widths = [max(self.width // 2, 8)]  # of the decoder's steps, finest first
        widths += [min(self.width * 2**level, 512) for level in range(len(self.channels) - 1)]
        skips = [3, *self.channels[:-1]]
        inputs = [*widths[1:], self.channels[-1]]
        self.steps = nn.ModuleList(
            TwoConv(2, below + skip, out, "LeakyReLU", ("group", {"num_groups": 8}), bias=False)
            for below, skip, out in zip(inputs, skips, widths, strict=True)
        )
        self.classify = nn.Conv2d(widths[0], out_channels, 1)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this head again."""
        return {"channels": list(self.channels), "out_channels": self.out_channels, "width": self.width}

    def forward(self, features: Sequence[Tensor], image: Tensor, **conditions: Tensor | None) -> Tensor:
        if len(features) != len(self.channels):
            raise ValueError(f"expected {len(self.channels)} pyramid levels, found {len(features)}")
        if given := [name for name, value in conditions.items() if value is not None]:
            raise ValueError(f"expected no {given[0]!r}: this head takes no conditions")
        x = features[-1]
        for step, skip in zip(reversed(self.steps), reversed([image, *features[:-1]]), strict=True):
            x = step(torch.cat([resize_to(x, skip), skip], dim=1))
        return self.classify(x)


#: The entry of the U-Net's decoder.
UNET = HeadEntry(UNetHead, AdaptedSegmenter)
