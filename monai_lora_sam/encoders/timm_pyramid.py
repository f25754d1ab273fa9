"""Any backbone of timm with a pyramid, and a light neck that gives SAM's embedding: compact student encoders."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from timm.utils.model import reparameterize_model
from torch import Tensor, nn
from transformers import PretrainedConfig

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.pyramid_neck import PyramidNeck
from monai_lora_sam.encoders.timm_backbone import backbone_facts, build_backbone


class TimmPyramidConfig(PretrainedConfig):
    """Configuration of a backbone of timm with a neck.

    Args:
        backbone: name of a model of timm that gives a pyramid with ``features_only=True``.
        embedding_stride: pixels of the image per pixel of the embedding; one of the backbone's strides. Levels that
            are finer are given as they are, the others are joined by the neck.
        output_channels: of the embedding; 256 for SAM's mask decoder.
        neck_depth: number of separable convolutions in the neck.
        image_size: side in pixels that the encoder is meant for.
        own_range: each image's own minimum and maximum become 0 and 1 before mean and standard deviation.

    Raises:
        ValueError: a stride that the backbone does not have, or a backbone without a pyramid.
    """

    model_type = "timm_pyramid"

    def __init__(
        self,
        backbone: str = "tf_efficientnet_lite0",
        embedding_stride: int = 8,
        output_channels: int = 256,
        neck_depth: int = 2,
        image_size: int = 512,
        own_range: bool = False,
        **kwargs: Any,
    ) -> None:
        strides = backbone_facts(backbone).strides
        if embedding_stride not in strides:
            raise ValueError(f"embedding_stride: expected one of {list(strides)}, found {embedding_stride!r}")
        self.backbone = backbone
        self.embedding_stride = embedding_stride
        self.output_channels = output_channels
        self.neck_depth = neck_depth
        self.image_size = image_size
        self.own_range = own_range
        super().__init__(**kwargs)

    @property
    def finer(self) -> int:
        """The number of the backbone's levels that are finer than the embedding."""
        return backbone_facts(self.backbone).strides.index(self.embedding_stride)


class TimmPyramidModel(nn.Module):
    """Hold stem, blocks and neck, with all blocks in one list, so that the last n of them can be chosen."""

    def __init__(self, config: TimmPyramidConfig) -> None:
        super().__init__()
        self.config = config
        backbone = build_backbone(config.backbone)
        self.stem = nn.ModuleList(backbone.stem)
        self.layers = nn.ModuleList(backbone.blocks)
        self.neck = new_neck(config)
        self.levels = backbone.levels
        for module in self.modules():
            if hasattr(module, "attention_bias_cache"):
                module.register_forward_pre_hook(_clear_cache)
        self._make_constants()

    def _make_constants(self) -> None:
        """Fill buffers that are no part of the weights even where weights to be loaded are on the meta device."""
        weights = self.state_dict().keys()
        missing = [name for name, buffer in self.named_buffers() if buffer.is_meta and name not in weights]
        if not missing:
            return
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            built = dict(TimmPyramidModel(self.config).named_buffers())
        for name in missing:
            owner, _, buffer = name.rpartition(".")
            self.get_submodule(owner).register_buffer(buffer, built[name], persistent=False)


def _clear_cache(module: Any, inputs: Any) -> None:
    """Drop the attention biases that timm keeps in evaluation mode, across other weights, devices and precisions."""
    module.attention_bias_cache.clear()


def new_neck(config: TimmPyramidConfig) -> PyramidNeck:
    """Build the neck of a configuration with random weights."""
    channels = backbone_facts(config.backbone).channels[config.finer :]
    return PyramidNeck(channels, config.output_channels, config.neck_depth)


def fixed_neck(config: TimmPyramidConfig) -> dict[str, Tensor]:
    """Return the tensors of a random neck that is always the same one, for weights that have none.

    A base has to be the same each time it is built, or no adapter on it could be loaded again.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        neck = new_neck(config)
    return {f"neck.{name}": tensor for name, tensor in neck.state_dict().items()}


class TimmPyramidEncoder(ImageEncoder):
    """Backbone of timm with a neck that gives SAM's embedding.

    Levels, finest first: those of the backbone that are finer than the embedding, then the embedding, which SAM's mask
    decoder reads. ``blocks`` are the parts of the backbone's stages where a stage is a plain sequence (EfficientNet),
    otherwise the stages (TinyViT, RepViT).
    """

    model: TimmPyramidModel
    family = "timm"

    def __init__(self, config: TimmPyramidConfig, name: str = "mini", image_size: int | None = None) -> None:
        config = copy.deepcopy(config)
        config.image_size = image_size or config.image_size
        facts, finer = backbone_facts(config.backbone), config.finer
        super().__init__(
            TimmPyramidModel(config),
            name=name,
            image_size=config.image_size,
            patch_size=facts.strides[-1],
            strides=[*facts.strides[:finer], config.embedding_stride],
            channels=[*facts.channels[:finer], config.output_channels],
            pixel_mean=facts.mean,
            pixel_std=facts.std,
            own_range=config.own_range,
        )

    @property
    def architecture(self) -> dict[str, Any]:
        """Return everything besides the weights that decides about the output."""
        own = {"own_range": True} if self.own_range else {}
        return {**super().architecture, "backbone": self.model.config.backbone, **own}

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the blocks or stages of the backbone, first to last."""
        return self.model.layers

    def begin(self, image: Tensor, blocks: int) -> list[Tensor]:
        """Return the backbone's levels that are complete, then the input of the next block."""
        return self._run(
            [], image.to(self.model.neck.output_norm.weight.dtype), -len(self.model.stem), blocks
        )

    def resume(self, state: Sequence[Tensor], blocks: int) -> list[Tensor]:
        """Compute the backbone's finer levels and the embedding."""
        levels, finer = self._run(state[:-1], state[-1], blocks, len(self.blocks)), self.model.config.finer
        return [*levels[:finer], self.run_block(self.model.neck, levels[finer:-1])]  # type: ignore[arg-type]

    def _run(self, levels: Sequence[Tensor], hidden: Tensor, start: int, stop: int) -> list[Tensor]:
        """Run blocks; those of the stem have negative numbers."""
        model, levels = self.model, list(levels)
        stem = len(model.stem)
        for count, part in enumerate(
            [*model.stem, *model.layers][start + stem : stop + stem], stem + start + 1
        ):
            hidden = self.run_block(part, hidden)
            if count in model.levels:
                levels.append(hidden)
        return [*levels, hidden]

    def fused(self) -> TimmPyramidEncoder:
        """Return a copy for inference whose re-parameterisable layers are fused (timm's ``reparameterize_model``).

        RepViT's parallel branches become one convolution, and batch normalisation becomes part of the convolution
        before it. The copy is another base with a fingerprint of its own: it takes no adapters of this one.

        Raises:
            ValueError: adapters are on the encoder; merge or remove them first.
        """
        wrapped = [name for name, _ in self.named_parameters() if ".base_layer." in name]
        if wrapped:
            raise ValueError(
                f"{self.name}: expected a plain encoder, found adapters on it ({wrapped[0]}, ...)"
            )
        fused = copy.deepcopy(self).eval()
        reparameterize_model(fused.model, inplace=True)
        fused.requires_grad_(False)
        fused.renew_fingerprint()
        return fused
