"""Take a backbone of timm apart into a stem, a list of blocks and the places where its pyramid is read."""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import nn

#: Parts of timm's whole models that a pyramid does not have.
_CLASSIFIERS = ("classifier.", "head.", "head_dist.", "norm_head.", "conv_head.", "norm.")


@dataclass(frozen=True)
class Backbone:
    """Hold the parts of a backbone in the order in which they run.

    Attributes:
        stem: groups of modules before the first block; a level of the pyramid can be read after each group.
        blocks: the blocks. A stage that is a plain sequence counts as its parts, any other as one block.
        levels: number of stem groups and blocks that have run when each level of the pyramid is there.
        channels, strides: of the levels, finest first.
        names: name in timm's whole model of each module, by its name here (``stem.0.0``, ``layers.3``).
        mean, std: normalisation of the images that timm's weights were trained on.
    """

    stem: list[nn.Sequential]
    blocks: list[nn.Module]
    levels: tuple[int, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    names: dict[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_backbone(name: str) -> Backbone:
    """Build a backbone of timm with random weights.

    Args:
        name: of a model that timm gives as a sequence of modules with ``features_only=True``.

    Raises:
        ValueError: timm has no such model, or it has no pyramid whose strides double.

    Example:
        >>> build_backbone("tf_efficientnet_lite0").strides
        (2, 4, 8, 16, 32)
    """
    net = _create(name)
    strides, channels = net.feature_info.reduction(), net.feature_info.channels()
    if any(coarse != 2 * fine for fine, coarse in itertools.pairwise(strides)):
        raise ValueError(f"backbone {name!r}: expected levels whose strides double, found {strides}")
    parts = _sequence(name, net)
    # Normalisation, activation and pooling before the first block belong to the stem, even where a level is read there.
    first = next((index for index, (_, part, read) in enumerate(parts) if read and _is_block(part)), None)
    if first is None:
        raise ValueError(
            f"backbone {name!r}: expected levels that end blocks, found activations or pooling alone"
        )
    stem: list[nn.Sequential] = []
    blocks: list[nn.Module] = []
    levels: list[int] = []
    names: dict[str, str] = {}
    group: list[nn.Module] = []
    for index, (timm_name, part, read) in enumerate(parts):
        if index < first:
            names[f"stem.{len(stem)}.{len(group)}"] = timm_name
            group.append(part)
            if read or index + 1 == first:
                stem.append(nn.Sequential(*group))
                group = []
        else:
            whole = type(part) is not nn.Sequential
            for key, block in [("", part)] if whole else part.named_children():
                names[f"layers.{len(blocks)}"] = f"{timm_name}.{key}".removesuffix(".")
                blocks.append(block)
        if read:
            levels.append(len(stem) + len(blocks))
    trained: Any = timm.get_pretrained_cfg(name)
    return Backbone(
        stem,
        blocks,
        tuple(levels),
        tuple(channels),
        tuple(strides),
        names,
        tuple(trained.mean),
        tuple(trained.std),
    )


def _is_block(part: nn.Module) -> bool:
    return bool(list(part.parameters())) and not isinstance(part, nn.BatchNorm2d)


def _create(name: str) -> Any:
    try:
        return timm.create_model(name, features_only=True, pretrained=False)
    except RuntimeError as error:
        if timm.is_model(name):
            raise ValueError(f"backbone {name!r}: expected a pyramid: {error!s:.120}") from error
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        advice = f"; nearest: {', '.join(near)}" if near else ""
        raise ValueError(f"backbone: expected a model of timm, found {name!r}{advice}") from error


def _sequence(name: str, net: Any) -> list[tuple[str, nn.Module, bool]]:
    """Return name in timm's whole model, module and whether a level is read after it, in the order they run."""
    if isinstance(net, EfficientNetFeatures | MobileNetV3Features) and net.feature_hooks is None:
        stages = net._stage_out_idx
        stem = [(key, module) for key in ("conv_stem", "bn1", "act1") if (module := getattr(net, key, None))]
        return [
            *((key, module, 0 in stages and key == stem[-1][0]) for key, module in stem),
            *((f"blocks.{i}", stage, i + 1 in stages) for i, stage in enumerate(net.blocks)),
        ]
    if isinstance(net, FeatureListNet) and net.output_fmt.value == "NCHW":
        return [
            (re.sub(r"_(\d+)$", r".\1", key), module, key in net.return_layers) for key, module in net.items()
        ]
    raise ValueError(
        f"backbone {name!r}: expected a sequence of modules with channels first, found {type(net).__name__}"
    )


@lru_cache
def backbone_facts(name: str) -> Backbone:
    """Return the facts of a backbone, built on the meta device once; errors as of :func:`build_backbone`."""
    with torch.device("meta"):
        return build_backbone(name)


def timm_to_flat(name: str, backbone: str) -> str | None:
    """Give a parameter of timm's whole model its name in :class:`TimmPyramidModel`; None for the classifier.

    Example:
        >>> timm_to_flat("blocks.1.0.conv_pw.weight", "tf_efficientnet_lite0")
        'layers.1.conv_pw.weight'
    """
    for flat, original in backbone_facts(backbone).names.items():
        if name.startswith(f"{original}."):
            return flat + name.removeprefix(original)
    # EfficientNet's second normalisation belongs to the classifier; blocks have one too, below their own names.
    return None if name.startswith((*_CLASSIFIERS, "bn2.")) else name
