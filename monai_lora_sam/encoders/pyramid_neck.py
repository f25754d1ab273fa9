"""Join the coarse levels of a backbone into SAM's embedding by light convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional


class SeparableBlock(nn.Module):
    """Add a 3 × 3 convolution of each channel, then a 1 × 1 convolution across them, to the input.

    A dense 3 × 3 convolution of 256 channels takes nine times as many operations as the second one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = LayerNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(functional.gelu(self.norm(self.depthwise(x))))


class PyramidNeck(nn.Module):
    """Sum levels from the coarsest up (Lin et al., CVPR 2017) and refine the sum at the finest one's size.

    Layer normalisation ends it, as it ends SAM's neck, so that a teacher's embedding has the same scale.

    Args:
        channels: of the levels, finest first.
        output_channels: of the embedding.
        depth: number of :class:`SeparableBlock`.

    Shapes:
        levels: list of (B, channels[i], H / 2^i, W / 2^i); returns (B, output_channels, H, W).

    Example:
        >>> neck = PyramidNeck([40, 112])
        >>> neck([torch.rand(1, 40, 8, 8), torch.rand(1, 112, 4, 4)]).shape
        torch.Size([1, 256, 8, 8])
    """

    def __init__(self, channels: Sequence[int], output_channels: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, output_channels, 1, bias=False) for c in channels)
        self.norm = LayerNorm2d(output_channels)
        self.refine = nn.Sequential(*(SeparableBlock(output_channels) for _ in range(depth)))
        self.output_norm = LayerNorm2d(output_channels)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        joined = self.laterals[-1](levels[-1])
        for lateral, level in zip(reversed(self.laterals[:-1]), reversed(levels[:-1]), strict=True):
            joined = lateral(level) + functional.interpolate(joined, scale_factor=2.0, mode="nearest")
        return self.output_norm(self.refine(self.norm(joined)))
