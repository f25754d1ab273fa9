"""The named encoders: what is known of each, and its architecture without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_lora_sam.encoders.base import ImageEncoder

TINY_ASSETS = Path(__file__).resolve().parents[1] / "assets" / "tiny"


@dataclass(frozen=True)
class EncoderEntry:
    """What is known of a named encoder: its family, its default weights and how to make its configuration."""

    family: str
    default_weights: str | Path
    config: Callable[[], Any]


def _sam3_config() -> Any:
    from transformers import Sam3VisionConfig

    return Sam3VisionConfig()


def _tiny_config() -> Any:
    from transformers import Sam3VisionConfig

    return Sam3VisionConfig(
        fpn_hidden_size=48,
        backbone_feature_sizes=[[144, 144], [72, 72], [36, 36]],
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": 144,
            "intermediate_size": 576,
            "num_hidden_layers": 6,
            "num_attention_heads": 2,
            "image_size": 504,
            "pretrain_image_size": 168,
            "window_size": 12,
            "global_attn_indexes": [2, 5],
        },
    )


def _sam_config(
    hidden_size: int, layers: int, heads: int, global_blocks: tuple[int, ...]
) -> Callable[[], Any]:
    def make() -> Any:
        from transformers import SamVisionConfig

        return SamVisionConfig(
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            global_attn_indexes=list(global_blocks),
        )

    return make


ENCODERS: dict[str, EncoderEntry] = {
    "tiny": EncoderEntry("sam3", TINY_ASSETS, _tiny_config),
    "sam3": EncoderEntry("sam3", "facebook/sam3", _sam3_config),
    "sam_vit_b": EncoderEntry("sam", "facebook/sam-vit-base", _sam_config(768, 12, 12, (2, 5, 8, 11))),
    "sam_vit_l": EncoderEntry("sam", "facebook/sam-vit-large", _sam_config(1024, 24, 16, (5, 11, 17, 23))),
    "sam_vit_h": EncoderEntry("sam", "facebook/sam-vit-huge", _sam_config(1280, 32, 16, (7, 15, 23, 31))),
}


def make_encoder(name: str, config: Any, image_size: int | None) -> ImageEncoder:
    """Build the encoder of a configuration with random weights."""
    if ENCODERS[name].family == "sam3":
        from monai_lora_sam.encoders.sam3 import Sam3Encoder

        return Sam3Encoder(config, name, image_size)
    from monai_lora_sam.encoders.sam import SamEncoder

    return SamEncoder(config, name, image_size)
