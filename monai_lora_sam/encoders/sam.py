"""The image encoder of the first SAM (transformers' ``SamVisionEncoder``) for images of any size."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.configuration_sam import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder

from monai_lora_sam.encoders.base import ImageEncoder


class SamEncoder(ImageEncoder):
    """SAM's vision transformer (Kirillov et al., 2023) with its neck: one level of stride 16.

    The weights keep the grid that they were trained on. At another size the absolute positions are
    interpolated (bicubic) and the relative ones resized (linear, as SAM itself does) while running. At the
    native size the output equals transformers' ``SamVisionEncoder`` to the bit.
    """

    model: SamVisionEncoder

    def __init__(
        self, config: SamVisionConfig, name: str = "sam_vit_b", image_size: int | None = None
    ) -> None:
        native_size: Any = config.image_size
        patch_size: Any = config.patch_size
        super().__init__(
            SamVisionEncoder(config),
            name=name,
            family="sam",
            image_size=image_size or native_size,
            patch_size=patch_size,
            strides=[patch_size],
            channels=[config.output_channels],
            pixel_mean=(0.485, 0.456, 0.406),
            pixel_std=(0.229, 0.224, 0.225),
        )

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the transformer blocks, first to last."""
        return self.model.layers

    def encode(self, image: Tensor) -> list[Tensor]:
        """Compute the one feature map."""
        projection = self.model.patch_embed.projection
        hidden = projection(image.to(projection.weight.dtype)).permute(0, 2, 3, 1)
        if self.model.pos_embed is not None:
            hidden = hidden + resize_positions(self.model.pos_embed, hidden.shape[1], hidden.shape[2])
        for block in self.blocks:
            hidden = self.run_block(block, hidden)
        return [self.run_block(self.model.neck, hidden)]


def resize_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Interpolate absolute positions (1, H, W, C) to another grid; the native grid comes back as it is."""
    if positions.shape[1:3] == (rows, columns):
        return positions
    channels_first = positions.permute(0, 3, 1, 2).float()
    resized = functional.interpolate(channels_first, (rows, columns), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).to(positions.dtype)
