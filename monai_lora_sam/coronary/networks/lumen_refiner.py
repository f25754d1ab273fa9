"""Refine a vessel map at the angiogram's own size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.networks import autocast

#: Channels of the five levels, and of the last.
FEATURES = (32, 32, 48, 64, 96, 32)


class LumenRefiner(nn.Module):
    """Refine a vessel map at the angiogram's own size.

    Stage 1 sees the picture in its encoder's square, too small for widths to a fraction of a pixel. This network
    reads the angiogram itself and stage 1's map, scaled up to it. MONAI's :class:`BasicUNet` runs on blocks of
    pixels: blocks become channels before it, and channels become blocks after it (Shi et al. 2016, arXiv
    1609.05158). On a CPU it takes half the time of the same layers at full size.

    Args:
        features: six numbers of channels, see :class:`monai.networks.nets.BasicUNet`.
        block: side in pixels of a block.
        mixed_precision: run in bfloat16 autocast where the device computes in it. The logits are float32 either way.

    Shapes:
        image: (B, 1, H, W), 0 to 1, contrast agent dark; probability: the same, of being vessel. Any size.
        Returns logits (B, 1, H, W).

    Raises:
        ValueError: if the shapes differ or are others; expected and found are named.

    Example:
        >>> refiner = LumenRefiner(features=(8, 8, 8, 8, 8, 8)).eval()
        >>> refiner(torch.rand(1, 1, 50, 70), torch.rand(1, 1, 50, 70)).shape
        torch.Size([1, 1, 50, 70])
    """

    def __init__(
        self, features: Sequence[int] = FEATURES, block: int = 2, mixed_precision: bool = True
    ) -> None:
        super().__init__()
        features = tuple(features)
        if len(features) != len(FEATURES) or min(features) < 1:
            raise ValueError(f"features: expected {len(FEATURES)} numbers above 0, found {features}")
        if block < 1:
            raise ValueError(f"block: expected 1 or more, found {block}")
        self.features, self.block, self.mixed_precision = features, block, mixed_precision
        # Batch norm: its statistics do not depend on how much of a picture is seen, so that crops train it.
        self.network = BasicUNet(2, 2 * block**2, block**2, features, norm="batch")
        self.to_channels, self.to_pixels = nn.PixelUnshuffle(block), nn.PixelShuffle(block)
        #: Card of the folder that the weights were loaded from.
        self.card: dict[str, Any] = {}
        self.multiple = block * 2 ** (len(features) - 2)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this network again, as JSON holds them."""
        return {"features": list(self.features), "block": self.block}

    def forward(self, image: Tensor, probability: Tensor) -> Tensor:
        for name, given in (("image", image), ("probability", probability)):
            if given.ndim != 4 or given.shape[1] != 1:
                raise ValueError(f"{name}: expected (B, 1, H, W), found {tuple(given.shape)}")
        if image.shape != probability.shape:
            raise ValueError(f"probability: expected {tuple(image.shape)}, found {tuple(probability.shape)}")
        read = torch.cat([4 * image - 2, 2 * probability - 1], dim=1)
        read = convert_to_tensor(read, track_meta=False).contiguous(memory_format=torch.channels_last)
        height, width = read.shape[-2:]
        read = functional.pad(read, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        with autocast(read.device, self.mixed_precision):
            logits = self.to_pixels(self.network(self.to_channels(read)))
        return logits[..., :height, :width].float()
