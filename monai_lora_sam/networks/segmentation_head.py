"""Fuse the encoder's pyramid with a stem on the image itself into logits at the image's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Least default width in channels; at stride 1 a quarter of it reads the image.
_LEAST_WIDTH = 32
#: Standard deviation of the levels that a head reads, about that of EfficientNet's finest ones. At 1 a head learned
#: more slowly at the bundles' rate: 0.575 instead of 0.595 validation Dice after 60 steps of stage 1 on `mini`.
LEVEL_DEVIATION = 4.0


class ConvBlock(nn.Sequential):
    """3 × 3 convolution, group normalisation, GELU.

    Group rather than batch normalisation: batches are small, and two processes with half a batch each
    must train as one with the whole batch does. At full resolution ``normalise=False`` leaves it out: there
    it took a third of a training step on CPU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, normalise: bool = True) -> None:
        groups = next(g for g in (8, 4, 2, 1) if outputs % g == 0)
        norm = [nn.GroupNorm(groups, outputs)] if normalise else []
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=not normalise), *norm, nn.GELU()
        )


class SegmentationHead(nn.Module):
    """Predict one logit map a class from a feature pyramid and the image.

    A pyramid whose finest level has a stride of 3.5 (SAM 3) or 16 (SAM) cannot hold thin structures. A
    small convolutional stem therefore reads the image at strides 1, 2 and 4, and the fused pyramid joins it at
    stride 4, as in a U-Net.

    Args:
        channels: channels of the pyramid's levels, finest first.
        out_channels: number of logit maps.
        width: channels at stride 4; half of it at stride 2 and a quarter of it, at most 16, at stride 1.
            By default the finest level's channels, at least 32. 256 (SAM 3) gives about 3 M parameters.
        level_deviation: standard deviation that each level is brought to; None takes the levels as they are. A
            LiteMedSAM embedding has about 0.1, EfficientNet's finest levels have 4 to 6: in their sum it would be lost.
        conditioning: builds, for `width` channels, the module that changes the joined pyramid (B, width, h, w)
            by facts about the image besides its pixels, given as keyword arguments; None for a head that
            reads the image alone.

    Shapes:
        features: list of (B, C_i, H_i, W_i), finest first; image: (B, 3, H, W);
        conditions: arguments of ``conditioning``. Returns (B, out_channels, H, W).

    Raises:
        ValueError: if the number of levels is not that of ``channels``, or if a condition is given to
            a head without conditioning.

    Example:
        >>> head = SegmentationHead(channels=(32, 32), out_channels=1)
        >>> levels = [torch.rand(1, 32, 16, 16), torch.rand(1, 32, 8, 8)]
        >>> head(levels, torch.rand(1, 3, 56, 56)).shape
        torch.Size([1, 1, 56, 56])
    """

    head_type = "segmentation"

    def __init__(
        self,
        channels: Sequence[int],
        out_channels: int,
        width: int | None = None,
        conditioning: Callable[[int], nn.Module] | None = None,
        level_deviation: float | None = LEVEL_DEVIATION,
    ) -> None:
        super().__init__()
        self.channels, self.level_deviation = tuple(channels), level_deviation
        width = width or max(_LEAST_WIDTH, self.channels[0])
        half, full = width // 2, min(16, max(8, width // 4))
        self.width, self.out_channels = width, out_channels

        self.stem_1 = ConvBlock(3, full, normalise=False)
        self.stem_2 = ConvBlock(full, half, stride=2)
        self.stem_4 = ConvBlock(half, width, stride=2)

        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in self.channels)
        self.conditioning = None if conditioning is None else conditioning(width)

        self.fuse_4 = nn.Sequential(ConvBlock(2 * width, width), ConvBlock(width, width))
        self.fuse_2 = nn.Sequential(ConvBlock(width + half, half), ConvBlock(half, half))
        self.fuse_1 = ConvBlock(half + full, full, normalise=False)
        self.classify = nn.Conv2d(full, out_channels, 1)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this head again."""
        return {
            "channels": list(self.channels),
            "out_channels": self.out_channels,
            "width": self.width,
            "level_deviation": self.level_deviation,
        }

    def forward(self, features: Sequence[Tensor], image: Tensor, **conditions: Tensor | None) -> Tensor:
        if len(features) != len(self.channels):
            raise ValueError(f"expected {len(self.channels)} pyramid levels, found {len(features)}")
        at_1 = self.stem_1(image)
        at_2 = self.stem_2(at_1)
        at_4 = self.stem_4(at_2)

        pyramid = self._join_pyramid(features)
        if self.conditioning is not None:
            pyramid = self.conditioning(pyramid, **conditions)
        elif given := [name for name, value in conditions.items() if value is not None]:
            raise ValueError(f"expected no {given[0]!r}: this head takes no conditions")

        x = self.fuse_4(torch.cat([resize_to(pyramid, at_4), at_4], dim=1))
        x = self.fuse_2(torch.cat([resize_to(x, at_2), at_2], dim=1))
        x = self.fuse_1(torch.cat([resize_to(x, at_1), at_1], dim=1))
        return self.classify(x)

    def _scaled(self, level: Tensor) -> Tensor:
        return level if self.level_deviation is None else self.level_deviation * F.group_norm(level, 1)

    def _join_pyramid(self, features: Sequence[Tensor]) -> Tensor:
        """Sum the levels from the coarsest up at the finest level's size (Lin et al., CVPR 2017)."""
        joined = None
        for lateral, level in zip(reversed(self.lateral), reversed(features), strict=True):
            projected = lateral(self._scaled(level))
            joined = projected if joined is None else projected + resize_to(joined, projected)
        assert joined is not None  # a head has at least one level
        return joined


def resize_to(x: Tensor, reference: Tensor) -> Tensor:
    if x.shape[-2:] == reference.shape[-2:]:
        return x
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=False)
