"""SAM 3's vision encoder (transformers' ``Sam3VisionModel``) for images of any size, and a miniature of it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.sam3.configuration_sam3 import Sam3Config, Sam3VisionConfig, Sam3ViTConfig
from transformers.models.sam3.modeling_sam3 import Sam3VisionModel, Sam3ViTRotaryEmbedding

from monai_lora_sam.encoders import attention
from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.registry import CheckpointForm, EncoderEntry
from monai_lora_sam.encoders.sam3_original import ORIGINAL_SAM3

_TINY_ASSETS = Path(__file__).resolve().parents[1] / "assets" / "tiny"
_QUERY, _KEY, _VALUE, _OUTPUT = (f"attention.{name}_proj" for name in "qkvo")
_MLP = ("mlp.fc1", "mlp.fc2")

_ARCHITECTURE = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "pretrain_image_size",
    "window_size",
    "hidden_act",
    "layer_norm_eps",
    "layer_scale_init_value",
    "rope_parameters",
)


class AxialRotaryEmbedding(nn.Module):
    """Give the rotary cosines and sines of a grid of tokens, whatever its size.

    transformers builds the positions of the blocks with global attention from the configuration's image
    size; here they follow the tokens that come in, so that nothing about a block changes with the size and a
    block that is computed again for gradient checkpointing sees the same positions. The longer side spans one
    window, as in training. Tables are kept per size and device; no weights are involved.

    Args:
        config: configuration of the vision transformer.
    """

    def __init__(self, config: Sam3ViTConfig) -> None:
        super().__init__()
        self.config = config
        self._tables: dict[tuple[int, int, torch.device], tuple[Tensor, Tensor]] = {}

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, each (1, H·W, channels of a head), for tokens (B, H, W, C)."""
        height, width = hidden.shape[1:3]
        key = (height, width, hidden.device)
        if key not in self._tables:
            # A table made in inference mode could not be used for training later.
            with torch.inference_mode(False), torch.no_grad():
                self._tables[key] = self._table(height, width, hidden.device)
        return self._tables[key]

    def _table(self, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        # Frequencies and positions on the CPU, cosines on the device: transformers does so, to the same bit.
        with torch.device("cpu"):
            embedding = Sam3ViTRotaryEmbedding(self.config)
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            positions = torch.stack([columns.flatten(), rows.flatten()], dim=-1)
            positions = positions * (self.config.window_size / max(height, width))
        positions = positions.to(device)
        return embedding.to(device)(positions, positions)


class Sam3Encoder(ImageEncoder):
    """SAM 3's vision transformer and its feature pyramid, all levels, finest first.

    With SAM 3's scale factors 4, 2, 1 and 0.5 and its patch of 14 pixels the strides are 3.5, 7, 14 and 28.
    At the native size the levels equal ``Sam3VisionModel(...).fpn_hidden_states`` to the bit.
    """

    model: Sam3VisionModel
    family = "sam3"

    def __init__(self, config: Sam3VisionConfig, name: str = "sam3", image_size: int | None = None) -> None:
        scales = list(config.scale_factors or [])
        if not scales or scales != sorted(scales, reverse=True):
            raise ValueError(f"{name}: expected scale factors finest first, got {scales}.")
        config = deepcopy(config)
        backbone: Any = config.backbone_config
        patch_size = backbone.patch_size
        backbone.image_size = image_size or backbone.image_size
        super().__init__(
            Sam3VisionModel(config),
            name=name,
            image_size=backbone.image_size,
            patch_size=patch_size,
            strides=[patch_size / scale for scale in scales],
            channels=[config.fpn_hidden_size] * len(scales),
            pixel_mean=(0.5, 0.5, 0.5),
            pixel_std=(0.5, 0.5, 0.5),
            minimum_patches=max(1, round(1 / scales[-1])),
        )
        self.model.backbone.config._attn_implementation = attention.NAME
        rotary_embedding = AxialRotaryEmbedding(self.model.backbone.config)
        for block in self.blocks:
            block.rotary_emb = rotary_embedding
            block.register_buffer("position_ids", None)  # never read again, and would pin the size

    @property
    def architecture(self) -> dict[str, Any]:
        """Return everything besides the weights that decides about the output."""
        backbone: Any = self.model.config.backbone_config
        entries = {name: getattr(backbone, name) for name in _ARCHITECTURE}
        return {
            **super().architecture,
            **entries,
            "global_attn_indexes": sorted(set(backbone.global_attn_indexes)),
            "scale_factors": list(self.model.config.scale_factors or []),
        }

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the transformer blocks, first to last."""
        return self.model.backbone.layers

    def begin(self, image: Tensor, blocks: int) -> list[Tensor]:
        """Return the tokens (B, H, W, C) after the first blocks."""
        backbone = self.model.backbone
        rows, columns = (side // self.patch_size for side in image.shape[-2:])
        hidden = backbone.embeddings(image).unflatten(1, (rows, columns))
        return [self.run_blocks(backbone.layer_norm(hidden), 0, blocks)]

    def resume(self, state: Sequence[Tensor], blocks: int) -> list[Tensor]:
        """Compute the pyramid, without the position encodings that only the detector reads."""
        hidden = self.run_blocks(state[0], blocks, len(self.blocks)).permute(0, 3, 1, 2)
        return [self.run_block(level, hidden) for level in self.model.neck.fpn_layers]


def _whole_config(raw: dict[str, Any]) -> Any:
    return Sam3Config.from_dict(raw).vision_config


def _tiny_config() -> Sam3VisionConfig:
    return Sam3VisionConfig(
        fpn_hidden_size=48,
        backbone_feature_sizes=[[144, 144], [72, 72], [36, 36]],
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": 144,
            "intermediate_size": 576,
            "num_hidden_layers": 6,
            "num_attention_heads": 2,
            "image_size": 336,
            "pretrain_image_size": 168,
            "window_size": 12,
            "global_attn_indexes": [2, 5],
        },
    )


def _dimensions(config: Sam3VisionConfig) -> tuple[int, ...]:
    backbone: Any = config.backbone_config
    return backbone.hidden_size, backbone.num_hidden_layers


_entry = partial(
    EncoderEntry,
    encoder=Sam3Encoder,
    targets={
        "qv": (_QUERY, _VALUE),
        "qkv": (_QUERY, _KEY, _VALUE),
        "proj": (_OUTPUT,),
        "mlp": _MLP,
        "all": (_QUERY, _KEY, _VALUE, _OUTPUT, *_MLP),
    },
    # Before the names stands nothing (vision only), `vision_encoder.` (whole model) or
    # `detector_model.vision_encoder.` (video model).
    forms=(
        CheckpointForm(r"(?P<prefix>(.*\.)?)backbone\.embeddings\.patch_embeddings\.projection\.weight"),
        ORIGINAL_SAM3,
    ),
    model_types={
        "sam3": _whole_config,
        "sam3_video": lambda raw: _whole_config(raw.get("detector_config", {})),
        "sam3_vision_model": Sam3VisionConfig.from_dict,
    },
    dimensions=_dimensions,
)

SAM3 = _entry(config=Sam3VisionConfig, weights="facebook/sam3")
TINY = _entry(config=_tiny_config, weights=_TINY_ASSETS)
