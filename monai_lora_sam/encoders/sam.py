"""The image encoder of the first SAM (transformers' ``SamVisionEncoder``) for images of any size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.configuration_sam import SamConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.registry import CheckpointForm, EncoderEntry

# Meta's names on the left, transformers' on the right.
_ORIGINAL_NAMES = {
    r"^patch_embed\.proj\.": "patch_embed.projection.",
    r"^blocks\.(\d+)\.norm([12])\.": r"layers.\1.layer_norm\2.",
    r"^blocks\.(\d+)\.": r"layers.\1.",
    r"^neck\.0\.": "neck.conv1.",
    r"^neck\.1\.": "neck.layer_norm1.",
    r"^neck\.2\.": "neck.conv2.",
    r"^neck\.3\.": "neck.layer_norm2.",
}
_ARCHITECTURE = (
    "hidden_size",
    "mlp_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "window_size",
    "hidden_act",
    "layer_norm_eps",
    "qkv_bias",
    "use_abs_pos",
    "use_rel_pos",
)


class SamEncoder(ImageEncoder):
    """SAM's vision transformer (Kirillov et al., 2023) with its neck: one level of stride 16.

    The weights keep the grid that they were trained on. At another size the absolute positions are
    interpolated (bicubic) and the relative ones resized (linear, as SAM itself does) while running. At the
    native size the output equals transformers' ``SamVisionEncoder`` to the bit.
    """

    model: SamVisionEncoder
    family = "sam"

    def __init__(
        self, config: SamVisionConfig, name: str = "sam_vit_b", image_size: int | None = None
    ) -> None:
        native_size: Any = config.image_size
        patch_size: Any = config.patch_size
        super().__init__(
            SamVisionEncoder(config),
            name=name,
            image_size=image_size or native_size,
            patch_size=patch_size,
            strides=[patch_size],
            channels=[config.output_channels],
            pixel_mean=(0.485, 0.456, 0.406),
            pixel_std=(0.229, 0.224, 0.225),
        )

    @property
    def architecture(self) -> dict[str, Any]:
        """Return everything besides the weights that decides about the output."""
        config = self.model.config
        entries = {name: getattr(config, name) for name in _ARCHITECTURE}
        indices: Any = config.global_attn_indexes
        return {**super().architecture, **entries, "global_attn_indexes": sorted(set(indices))}

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the transformer blocks, first to last."""
        return self.model.layers

    def begin(self, image: Tensor, blocks: int) -> list[Tensor]:
        """Return the tokens (B, H, W, C) after the first blocks."""
        projection = self.model.patch_embed.projection
        hidden = projection(image.to(projection.weight.dtype)).permute(0, 2, 3, 1)
        if self.model.pos_embed is not None:
            hidden = hidden + resize_positions(self.model.pos_embed, hidden.shape[1], hidden.shape[2])
        return [self.run_blocks(hidden, 0, blocks)]

    def resume(self, state: Sequence[Tensor], blocks: int) -> list[Tensor]:
        """Compute the one feature map."""
        return [self.run_block(self.model.neck, self.run_blocks(state[0], blocks, len(self.blocks)))]


def resize_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Interpolate absolute positions (1, H, W, C) to another grid; the native grid comes back as it is."""
    if positions.shape[1:3] == (rows, columns):
        return positions
    channels_first = positions.permute(0, 3, 1, 2).float()
    resized = functional.interpolate(channels_first, (rows, columns), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).to(positions.dtype)


def original_to_transformers(name: str) -> str:
    """Give a parameter of Meta's image encoder its name in transformers.

    Example:
        >>> original_to_transformers("blocks.3.norm1.weight")
        'layers.3.layer_norm1.weight'
    """
    for pattern, replacement in _ORIGINAL_NAMES.items():
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def infer_sam_config(tensors: Mapping[str, Tensor], default: SamVisionConfig) -> SamVisionConfig:
    """Read the configuration of a SAM encoder off the shapes of its weights.

    Args:
        tensors: of the vision encoder, under transformers' names.
        default: decides which blocks are global where a window is as large as the grid, which the shapes cannot
            tell.

    Raises:
        KeyError: a tensor that the configuration is read from is missing.
    """
    hidden_size, _, patch_size, _ = tensors["patch_embed.projection.weight"].shape
    grid = tensors["pos_embed"].shape[1]
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers."))
    spans = [(tensors[f"layers.{index}.attn.rel_pos_h"].shape[0] + 1) // 2 for index in range(layers)]
    windows = Counter(span for span in spans if span != grid)
    global_blocks = [index for index, span in enumerate(spans) if span == grid]
    return SamVisionConfig(
        hidden_size=hidden_size,
        output_channels=tensors["neck.conv1.weight"].shape[0],
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // tensors["layers.0.attn.rel_pos_h"].shape[1],
        image_size=grid * patch_size,
        patch_size=patch_size,
        mlp_dim=tensors["layers.0.mlp.lin1.weight"].shape[0],
        window_size=windows.most_common(1)[0][0] if windows else default.window_size,
        global_attn_indexes=global_blocks if windows else default.global_attn_indexes,
    )


def _config(hidden_size: int, layers: int, heads: int, global_blocks: tuple[int, ...]) -> SamVisionConfig:
    return SamVisionConfig(
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        global_attn_indexes=list(global_blocks),
    )


def _whole_config(raw: dict[str, Any]) -> Any:
    return SamConfig.from_dict(raw).vision_config


def _dimensions(config: SamVisionConfig) -> tuple[int, ...]:
    return config.hidden_size, config.num_hidden_layers


_entry = partial(
    EncoderEntry,
    encoder=SamEncoder,
    # Queries, keys and values come from one fused matrix, adapted as a whole: "qv" and "qkv" are the same.
    targets={
        "qv": ("attn.qkv",),
        "qkv": ("attn.qkv",),
        "proj": ("attn.proj",),
        "mlp": ("mlp.lin1", "mlp.lin2"),
        "all": ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"),
    },
    # Before transformers' names stands nothing or `vision_encoder.`, before Meta's (and MedSAM's) `image_encoder.`,
    # perhaps after the `module.` of data-parallel training. Meta's SAM 3 has the same names after `trunk.`.
    forms=(
        CheckpointForm(r"(?P<prefix>(.*\.)?)patch_embed\.projection\.weight"),
        CheckpointForm(r"(?P<prefix>(.*\.)?)(?<!trunk\.)patch_embed\.proj\.weight", original_to_transformers),
    ),
    model_types={"sam": _whole_config, "sam_vision_model": SamVisionConfig.from_dict},
    infer_config=infer_sam_config,
    dimensions=_dimensions,
)

SAM_VIT_B = _entry(config=partial(_config, 768, 12, 12, (2, 5, 8, 11)), weights="facebook/sam-vit-base")
SAM_VIT_L = _entry(config=partial(_config, 1024, 24, 16, (5, 11, 17, 23)), weights="facebook/sam-vit-large")
SAM_VIT_H = _entry(config=partial(_config, 1280, 32, 16, (7, 15, 23, 31)), weights="facebook/sam-vit-huge")
